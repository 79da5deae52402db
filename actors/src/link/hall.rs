//! Where those wait who have not proved who they are: bounded in number, in pace, and in what they
//! make us write into the log.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use maftia_core::seat::Owner;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{name, wire::Place};

/// Connections at a time whose other end has not proved who it is.
const PENDING_MAX: usize = 256;

/// How many of these one host may have: four of them do not keep everybody else out.
pub(super) const PENDING_PER_HOST: usize = PENDING_MAX / 4;

/// The time between two handshakes of one host, after a first burst: a handshake costs 0.4 ms, so a
/// host can make us spend a tenth of a core.
const PACE: Duration = Duration::from_millis(4);

/// The handshakes of one host that may come at once: all parties of a machine that comes back.
const PACE_BURST: u32 = 64;

/// Hosts that are remembered for their pace. Beyond it those are forgotten that have been quiet.
const HOSTS_MAX: usize = 1024;

/// How often strangers may make us write a line into the log.
const COMPLAINTS: Duration = Duration::from_secs(1);

/// Those who have not proved who they are.
pub(super) struct Hall {
    me: Owner,
    seats: Arc<Semaphore>,
    hosts: RefCell<BTreeMap<Place, Host>>,
    complaints: Cell<(Option<Instant>, u64)>,
}

/// What is known about one place.
struct Host {
    pending: usize,
    /// When its handshakes are paid for.
    paid: Instant,
}

/// A seat in the hall.
pub(super) struct Ticket {
    pub(super) hall: Rc<Hall>,
    pub(super) place: Place,
    /// How long this one waits before anything is computed for it.
    pub(super) wait: Duration,
    _seat: OwnedSemaphorePermit,
}

impl Hall {
    pub(super) fn new(me: Owner) -> Rc<Self> {
        Rc::new(Self {
            me,
            seats: Arc::new(Semaphore::new(PENDING_MAX)),
            hosts: RefCell::default(),
            complaints: Cell::default(),
        })
    }

    /// A seat, if there is one for somebody from there.
    pub(super) fn enter(self: &Rc<Self>, place: Place) -> Option<Ticket> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        let mut wait = Duration::ZERO;
        if matches!(place, Place::Host(_)) {
            let now = Instant::now();
            let mut hosts = self.hosts.borrow_mut();
            if hosts.len() >= HOSTS_MAX {
                hosts.retain(|_, host| host.pending > 0 || host.paid > now);
            }
            let host = hosts.entry(place).or_insert(Host { pending: 0, paid: now });
            if host.pending >= PENDING_PER_HOST {
                return None;
            }
            host.pending += 1;
            host.paid = host.paid.max(now) + PACE;
            wait = (host.paid - now).saturating_sub(PACE * PACE_BURST);
        }
        Some(Ticket { hall: Rc::clone(self), place, wait, _seat: seat })
    }

    /// Writes a line about somebody who did not get in, unless there was one just now.
    pub(super) fn complain(&self, place: Place, what: &str) {
        let (last, more) = self.complaints.get();
        if last.is_some_and(|last| last.elapsed() < COMPLAINTS) {
            return self.complaints.set((last, more + 1));
        }
        self.complaints.set((Some(Instant::now()), 0));
        tracing::warn!(me = %name(self.me), ?place, more, "turned away: {what}");
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(host) = self.hall.hosts.borrow_mut().get_mut(&self.place) {
            host.pending -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::link::tests::p;

    fn host(number: u8) -> Place {
        Place::Host(IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))
    }

    #[test]
    fn one_host_takes_its_share_of_the_seats_and_no_more() {
        let hall = Hall::new(p(0));
        let mut seats = Vec::new();
        for number in 0..4 {
            let tickets = (0..300).map_while(|_| hall.enter(host(number)));
            let before = seats.len();
            seats.extend(tickets);
            assert_eq!(seats.len() - before, PENDING_PER_HOST);
        }
        assert!(hall.enter(host(4)).is_none(), "the hall is full");
        seats.truncate(200);
        assert!(hall.enter(host(4)).is_some());
    }

    #[test]
    fn a_host_that_comes_too_often_waits() {
        let hall = Hall::new(p(0));
        let waits: Vec<_> =
            (0..1_000).filter_map(|_| hall.enter(host(1))).map(|ticket| ticket.wait).collect();
        assert!(waits[..64].iter().all(Duration::is_zero));
        assert!(waits[999] > PACE * 500, "{:?}", waits[999]);
        assert!(hall.enter(host(2)).is_some_and(|ticket| ticket.wait.is_zero()));
    }

    #[test]
    fn quiet_hosts_are_forgotten() {
        let hall = Hall::new(p(0));
        for number in 0..HOSTS_MAX as u32 {
            drop(hall.enter(Place::Host(IpAddr::V4(Ipv4Addr::from_bits(number)))));
        }
        std::thread::sleep(PACE * 2);
        drop(hall.enter(host(1)));
        assert_eq!(hall.hosts.borrow().len(), 1);
    }
}
