//! For tests of a rule: the parties of one group, their trees, and the frames between them, delivered
//! in an order that a seed fixes, or moved by hand as the schedule of an attack needs it. The
//! simulator runs whole worlds; this is what a script needs.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    crypto::Job,
    effects::{Lane, To},
    fault::Fault,
    host::{Alarm, Host, Outside},
    id::{Epoch, GroupId, PartyId, Peer},
    mail::Mail,
    path::InstanceId,
    protocol::Protocol,
    seat::{Directory, Owner, Seat},
    sim::ideal,
    thresholds::Thresholds,
    time::Span,
    tree::Tree,
    wire,
};

/// Where the root of a test sits: `test` in a group of `n` with the most faults it can stand.
pub fn seat(n: u16, party: u16) -> Seat {
    seat_in(7, n, party)
}

/// The same in another world: equal secrets make equal keys and equal coins.
pub fn seat_in(secret: u8, n: u16, party: u16) -> Seat {
    let thresholds = Thresholds::asynchronous(n, n.saturating_sub(1) / 3).expect("n > 3f");
    let directory = Arc::new(Directory::new([("test".into(), thresholds)]));
    let group = directory.group(GroupId::new(0)).expect("it is the only one").clone();
    let owner = Owner::Party(group.id, PartyId::new(party));
    Seat {
        id: InstanceId::root(group.id, Epoch::FIRST, "test"),
        owner,
        keys: ideal::keys([secret; 32], owner, Some(&group), &directory),
        group: Arc::new(group),
        directory,
    }
}

/// The party with this number.
pub const fn p(number: u16) -> PartyId {
    PartyId::new(number)
}

/// Who gets a piece of mail, and the mail.
pub type Delivery<P> = (usize, Mail<P>);

/// Who sent this to which instance, and what it says, if it is a frame with such a message.
pub fn read<P: Protocol, M: DeserializeOwned>(
    (_, mail): &Delivery<P>,
) -> Option<(PartyId, &InstanceId, M)> {
    match mail {
        Mail::Frame { from: Peer::Member(from), instance, bytes } => {
            Some((*from, instance, wire::decode(bytes).ok()?))
        }
        _ => None,
    }
}

/// `n` parties that run a `P`, and what they said.
#[derive(Debug)]
pub struct Shuttle<P: Protocol> {
    /// Where each party sits.
    pub seats: Vec<Seat>,
    /// What each party runs.
    pub trees: Vec<Tree<P>>,
    /// What was sent and not delivered.
    pub pool: Vec<Delivery<P>>,
    /// What each party told its user.
    pub outputs: Vec<Vec<P::Output>>,
    /// Who accuses whom of what.
    pub faults: Vec<(PartyId, Peer, Fault)>,
    /// Who gets mail and sends none.
    pub mute: Vec<usize>,
    seed: u64,
}

impl<P: Protocol> Shuttle<P> {
    /// `n` parties with equal specifications, begun.
    pub fn new(n: u16, seed: u64, spec: P::Spec) -> Self {
        Self::of((0..n).map(|party| seat(n, party)).collect(), seed, spec)
    }

    /// The parties at these seats.
    pub fn of(seats: Vec<Seat>, seed: u64, spec: P::Spec) -> Self {
        let trees = seats.iter().map(|seat| Tree::new(seat.clone(), spec.clone())).collect();
        let outputs = vec![Vec::new(); seats.len()];
        let mut shuttle =
            Self { seats, trees, pool: vec![], outputs, faults: vec![], mute: vec![], seed };
        (0..shuttle.seats.len()).for_each(|party| shuttle.take(party, Mail::Start));
        shuttle
    }

    /// The user of a party asks.
    pub fn input(&mut self, party: usize, input: P::Input) {
        self.take(party, Mail::Input { number: 0, input });
    }

    /// Puts a message of a party that lies among the frames in flight.
    pub fn forge(&mut self, from: usize, to: usize, message: &P::Message) {
        let (instance, bytes) = (self.seats[to].id.clone(), wire::encode(message));
        let from = Peer::Member(self.seats[from].me());
        self.pool.push((to, Mail::Frame { from, instance, bytes }));
    }

    /// Delivers what is in flight and wanted, and what comes of it, in the order in which it was
    /// sent.
    pub fn deliver(&mut self, wanted: impl Fn(&Delivery<P>) -> bool) {
        while let Some(next) = self.pool.iter().position(&wanted) {
            let (to, mail) = self.pool.remove(next);
            self.take(to, mail);
        }
    }

    /// Delivers all that is in flight, and what comes of it, in an order that the seed fixes.
    ///
    /// # Panics
    /// If it never ends.
    pub fn run(&mut self) {
        for _ in 0..200_000 {
            if self.pool.is_empty() {
                return;
            }
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let next = (self.seed >> 33) as usize % self.pool.len();
            let (to, mail) = self.pool.swap_remove(next);
            self.take(to, mail);
        }
        panic!("does not come to rest");
    }

    /// Gives a piece of mail to a party.
    pub fn take(&mut self, party: usize, mail: Mail<P>) {
        let mut desk =
            Desk { seat: &self.seats[party], sent: vec![], outputs: vec![], faults: vec![] };
        self.trees[party].take(mail, &mut desk);
        let Desk { sent, outputs, faults, .. } = desk;
        let mute = self.mute.contains(&party);
        let leaves = |(to, mail): &Delivery<P>| {
            *to == party || !(mute && matches!(mail, Mail::Frame { .. }))
        };
        self.pool.extend(sent.into_iter().filter(leaves));
        self.outputs[party].extend(outputs);
        self.faults.extend(faults);
    }
}

/// What one tree sees of the test.
struct Desk<'a, P: Protocol> {
    seat: &'a Seat,
    sent: Vec<Delivery<P>>,
    outputs: Vec<P::Output>,
    faults: Vec<(PartyId, Peer, Fault)>,
}

impl<P: Protocol> Outside for Desk<'_, P> {
    fn send(&mut self, to: To, instance: &InstanceId, _: Lane, bytes: Bytes) {
        let me = self.seat.me();
        for party in self.seat.parties() {
            if to == To::Member(party) || (to == To::Everyone && party != me) {
                let (from, instance, bytes) = (Peer::Member(me), instance.clone(), bytes.clone());
                self.sent.push((party.index(), Mail::Frame { from, instance, bytes }));
            }
        }
    }

    fn arm(&mut self, _: Alarm, _: Span) {
        unreachable!("asynchronous protocols set no alarm");
    }

    fn compute(&mut self, id: &InstanceId, job: Job) {
        let answer = job.perform(&self.seat.keys);
        self.sent.push((self.seat.me().index(), Mail::Answer { job: id.clone(), answer }));
    }

    fn accuse(&mut self, _: &InstanceId, peer: Peer, fault: Fault) {
        self.faults.push((self.seat.me(), peer, fault));
    }
}

impl<P: Protocol> Host<P> for Desk<'_, P> {
    fn output(&mut self, _: u64, output: P::Output) {
        self.outputs.push(output);
    }
}
