//! Where those wait who have not proved who they are: bounded in number, in pace, and in what they
//! make us write into the log.
//!
//! | bound | so that |
//! |---|---|
//! | seats for the hosts of the configuration, apart from those for others | strangers leave members their seats, however many they are and wherever they come from |
//! | seats a host | one host does not keep the others of its kind out |
//! | who said nothing makes room for who comes | holding connections open keeps nobody out |
//! | handshakes a host and second | nobody makes us compute for him all day |
//!
//! What remains: a stranger who sits at the address of a member, knows the configuration, and goes on
//! saying good first words can delay others from that address.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use maftia_core::seat::Owner;
use tokio_util::sync::CancellationToken;

use super::{keep::HANDSHAKE, name, wire::Place};

/// Connections at a time whose other end has not proved who it is: so many from hosts that the
/// configuration names, and so many from others.
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
    /// The hosts of the configuration.
    homes: RefCell<BTreeSet<IpAddr>>,
    /// Who waits, in the order of coming.
    seats: RefCell<BTreeMap<u64, Seat>>,
    came: Cell<u64>,
    /// When the handshakes of each host are paid for.
    paid: RefCell<BTreeMap<IpAddr, Instant>>,
    complaints: Cell<(Option<Instant>, u64)>,
}

/// A seat that is taken.
struct Seat {
    place: Place,
    at_home: bool,
    /// Nothing came yet.
    silent: bool,
    leave: CancellationToken,
}

/// A seat in the hall.
pub(super) struct Ticket {
    pub(super) hall: Rc<Hall>,
    pub(super) place: Place,
    /// Whoever has it must go: others come, and it says nothing.
    pub(super) leave: CancellationToken,
    number: u64,
}

impl Hall {
    pub(super) fn new(me: Owner) -> Rc<Self> {
        Rc::new(Self {
            me,
            homes: RefCell::default(),
            seats: RefCell::default(),
            came: Cell::default(),
            paid: RefCell::default(),
            complaints: Cell::default(),
        })
    }

    /// These are the hosts of the configuration.
    pub(super) fn reserve(&self, homes: BTreeSet<IpAddr>) {
        *self.homes.borrow_mut() = homes;
    }

    /// A seat, if there is one for somebody from there, or one that says nothing gives up its own.
    pub(super) fn enter(self: &Rc<Self>, place: Place) -> Option<Ticket> {
        let at_home = match place {
            Place::Here => true,
            Place::Host(host) => self.homes.borrow().contains(&host),
        };
        let mut seats = self.seats.borrow_mut();
        let taken = |of: &dyn Fn(&Seat) -> bool| seats.values().filter(|seat| of(seat)).count();
        let same_place = |seat: &Seat| seat.place == place;
        let same_kind = |seat: &Seat| seat.at_home == at_home;
        let crowd = if place != Place::Here && taken(&same_place) >= PENDING_PER_HOST {
            Some(&same_place as &dyn Fn(&Seat) -> bool)
        } else if taken(&same_kind) >= PENDING_MAX {
            Some(&same_kind as &dyn Fn(&Seat) -> bool)
        } else {
            None
        };
        if let Some(crowd) = crowd {
            let oldest = seats.iter().find(|(_, seat)| seat.silent && crowd(seat));
            let oldest = *oldest?.0;
            seats.remove(&oldest).expect("it was found").leave.cancel();
        }
        let (number, leave) = (self.came.get(), CancellationToken::new());
        self.came.set(number + 1);
        seats.insert(number, Seat { place, at_home, silent: true, leave: leave.clone() });
        Some(Ticket { hall: Rc::clone(self), place, leave, number })
    }

    /// How long somebody from there waits before anything is computed for it. `None`: too many have
    /// come from there, so that it would be in vain.
    fn pace(&self, place: Place) -> Option<Duration> {
        let Place::Host(host) = place else { return Some(Duration::ZERO) };
        let now = Instant::now();
        let mut hosts = self.paid.borrow_mut();
        if hosts.len() >= HOSTS_MAX {
            hosts.retain(|_, paid| *paid > now);
        }
        let paid = hosts.entry(host).or_insert(now);
        let due = (*paid).max(now) + PACE;
        let wait = (due - now).saturating_sub(PACE * PACE_BURST);
        if wait >= HANDSHAKE {
            return None;
        }
        *paid = due;
        Some(wait)
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

impl Ticket {
    /// It said a good first word, and keeps its seat until its time is over. The time to wait before
    /// it is answered, unless too many came from there.
    pub(super) fn spoke(&self) -> Option<Duration> {
        if let Some(seat) = self.hall.seats.borrow_mut().get_mut(&self.number) {
            seat.silent = false;
        }
        self.pay()
    }

    /// The time to wait before anything is computed for it, unless too many came from there.
    pub(super) fn pay(&self) -> Option<Duration> {
        self.hall.pace(self.place)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hall.seats.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::link::tests::p;

    fn ip(number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
    }

    fn host(number: u8) -> Place {
        Place::Host(ip(number))
    }

    /// Takes seats and says a first word, as often as it gets one.
    fn fill(hall: &Rc<Hall>, place: Place) -> Vec<Ticket> {
        let tickets = (0..300).map_while(|_| hall.enter(place));
        tickets.inspect(|ticket| assert!(ticket.spoke().is_some())).collect()
    }

    #[test]
    fn one_host_takes_its_share_of_the_seats_and_no_more() {
        let hall = Hall::new(p(0));
        let mut seats = Vec::new();
        for number in 0..4 {
            let tickets = fill(&hall, host(number));
            assert_eq!(tickets.len(), PENDING_PER_HOST);
            seats.extend(tickets);
        }
        assert!(hall.enter(host(4)).is_none(), "the hall is full");
        seats.truncate(200);
        assert!(hall.enter(host(4)).is_some());
    }

    #[test]
    fn strangers_leave_members_their_seats() {
        let hall = Hall::new(p(0));
        hall.reserve([ip(100), ip(101)].into());
        let strangers: Vec<_> = (0..9).flat_map(|number| fill(&hall, host(number))).collect();
        assert_eq!(strangers.len(), PENDING_MAX);
        assert_eq!(fill(&hall, host(100)).len(), PENDING_PER_HOST);
        assert_eq!(fill(&hall, host(101)).len(), PENDING_PER_HOST);
        assert!(hall.enter(host(200)).is_none());
    }

    #[test]
    fn the_oldest_silent_one_makes_room() {
        let hall = Hall::new(p(0));
        let silent: Vec<_> = (0..64).filter_map(|_| hall.enter(host(1))).collect();
        assert_eq!(silent[0].spoke(), Some(Duration::ZERO));
        let newcomer = hall.enter(host(1)).expect("the second one leaves");
        let left: Vec<_> = silent.iter().map(|ticket| ticket.leave.is_cancelled()).collect();
        assert!(!left[0] && left[1] && !left[2], "{left:?}");
        assert!(!newcomer.leave.is_cancelled());
        drop((silent, newcomer));
        assert!(hall.seats.borrow().is_empty());
    }

    #[test]
    fn a_host_that_comes_too_often_waits_and_then_comes_in_vain() {
        let hall = Hall::new(p(0));
        let waits: Vec<_> = (0..2_000).map_while(|_| hall.pace(host(1))).collect();
        assert!(waits[..64].iter().all(Duration::is_zero));
        assert!(waits[700] > PACE * 500, "{:?}", waits[700]);
        assert!(waits.len() < 1_000 && waits.iter().all(|wait| *wait < HANDSHAKE));
        assert_eq!(hall.pace(host(2)), Some(Duration::ZERO));
    }

    #[test]
    fn quiet_hosts_are_forgotten() {
        let hall = Hall::new(p(0));
        for number in 0..HOSTS_MAX as u32 {
            assert!(hall.pace(Place::Host(IpAddr::V4(Ipv4Addr::from_bits(number)))).is_some());
        }
        std::thread::sleep(PACE * 2);
        assert!(hall.pace(host(1)).is_some());
        assert_eq!(hall.paid.borrow().len(), 1);
    }
}
