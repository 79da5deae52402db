//! A hand-rolled world of groups of counters and their clients: virtual time, links that keep order
//! within a lane, and whatever the test does to frames on their way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::toy::{Counter, Toy};
use crate::{
    crypto::{Digest, Job},
    effects::{Lane, To},
    fault::Fault,
    host::{Alarm, Host, Outside},
    id::{ClientId, Epoch, GroupId, PartyId, Peer},
    mail::Mail,
    path::{InstanceId, Segment},
    replica::{Message, Replica, Session, Spec, session},
    seat::{Directory, Owner, Seat},
    sim::ideal,
    thresholds::Thresholds,
    time::Span,
    tree::Tree,
    wire,
};

pub(super) type Member = Replica<Counter, Toy>;

/// A frame on its way.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) from: Owner,
    pub(super) to: Owner,
    pub(super) instance: InstanceId,
    pub(super) bytes: Bytes,
}

impl Envelope {
    /// What a replica or session says, if it is that.
    pub(super) fn message(&self) -> Option<Message> {
        if self.instance.path().is_empty() { wire::decode(&self.bytes).ok() } else { None }
    }

    /// Says something else instead.
    pub(super) fn say(&mut self, message: &Message) {
        self.bytes = wire::encode(message);
    }
}

/// What the adversary does to a frame: `false` drops it.
pub(super) type Meddle = Box<dyn FnMut(&mut Envelope) -> bool>;

enum Node {
    Replica(Box<Tree<Member>>),
    Client(Box<Tree<Session>>),
}

#[derive(Default)]
struct Out {
    sent: Vec<(To, InstanceId, Lane, Bytes)>,
    alarms: Vec<(Alarm, Span)>,
    faults: Vec<(Peer, Fault)>,
    outputs: Vec<session::Output>,
}

impl Outside for Out {
    fn send(&mut self, to: To, instance: &InstanceId, lane: Lane, frame: Bytes) {
        self.sent.push((to, instance.clone(), lane, frame));
    }
    fn arm(&mut self, alarm: Alarm, after: Span) {
        self.alarms.push((alarm, after));
    }
    fn compute(&mut self, _: &InstanceId, _: Job) {
        panic!("nothing here is heavy");
    }
    fn accuse(&mut self, _: &InstanceId, peer: Peer, fault: Fault) {
        self.faults.push((peer, fault));
    }
}

impl Host<Member> for Out {
    fn output(&mut self, _: u64, _: crate::replica::Output) {}
}

impl Host<Session> for Out {
    fn output(&mut self, _: u64, output: session::Output) {
        self.outputs.push(output);
    }
}

/// The world.
pub(super) struct World {
    nodes: BTreeMap<Owner, Node>,
    links: BTreeMap<(Owner, Owner, Lane), VecDeque<Envelope>>,
    alarms: BTreeMap<(u64, u64), (Owner, Alarm)>,
    now: u64,
    random: u64,
    count: u64,
    directory: std::sync::Arc<Directory>,
    pub(super) meddle: Meddle,
    pub(super) faults: Vec<(Owner, Peer, Fault)>,
    pub(super) outputs: BTreeMap<ClientId, Vec<session::Output>>,
    pub(super) crashed: BTreeSet<Owner>,
}

const SECRET: [u8; 32] = [7; 32];

pub(super) fn client(number: u64) -> ClientId {
    ClientId::of_key(&Digest::of("client", &number.to_le_bytes()))
}

pub(super) fn party(group: u16, party: u16) -> Owner {
    Owner::Party(GroupId::new(group), PartyId::new(party))
}

impl World {
    /// Groups of `n` members of which `f` may lie; each tells the next one.
    pub(super) fn new(seed: u64, groups: u16, n: u16, f: u16, spec: &Spec<Counter>) -> Self {
        Self::of(seed, groups, n, f, |_| spec.clone())
    }

    /// The same, with replicas that need not be alike.
    pub(super) fn of(
        seed: u64,
        groups: u16,
        n: u16,
        f: u16,
        spec: impl Fn(u16) -> Spec<Counter>,
    ) -> Self {
        let thresholds = Thresholds::asynchronous(n, f).unwrap();
        let names = (0..groups).map(|group| (format!("g{group}").into(), thresholds));
        let mut world = Self {
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            alarms: BTreeMap::new(),
            now: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            count: 0,
            directory: std::sync::Arc::new(Directory::new(names)),
            meddle: Box::new(|_| true),
            faults: Vec::new(),
            outputs: BTreeMap::new(),
            crashed: BTreeSet::new(),
        };
        for group in 0..groups {
            let other = (groups > 1).then(|| GroupId::new((group + 1) % groups));
            for p in 0..n {
                let (owner, spec) = (party(group, p), spec(p));
                let spec = Spec { service: (other, spec.service.1), ..spec };
                let tree = Tree::new(world.seat(owner, group), spec);
                world.nodes.insert(owner, Node::Replica(Box::new(tree)));
                world.replica_takes(owner, Mail::Start);
            }
        }
        world
    }

    fn seat(&self, owner: Owner, group: u16) -> Seat {
        let group = self.directory.group(GroupId::new(group)).unwrap();
        Seat {
            id: InstanceId::root(group.id, Epoch::FIRST, &group.name),
            owner,
            group: group.clone().into(),
            directory: self.directory.clone(),
            keys: ideal::keys(SECRET, owner, Some(group), &self.directory),
        }
    }

    /// The seat of a client of a group, to forge with.
    pub(super) fn client_seat(&self, number: u64, group: u16) -> Seat {
        self.seat(Owner::Client(client(number)), group)
    }

    /// The seat of a member, to run a replica alone with.
    pub(super) fn party_seat(&self, group: u16, p: u16) -> Seat {
        self.seat(party(group, p), group)
    }

    /// Opens a session of a client with a group.
    pub(super) fn open(&mut self, number: u64, group: u16, spec: session::Spec) {
        let owner = Owner::Client(client(number));
        let tree = Tree::new(self.seat(owner, group), spec);
        self.nodes.insert(owner, Node::Client(Box::new(tree)));
        self.outputs.insert(client(number), Vec::new());
        self.client_takes(owner, Mail::Start);
    }

    /// A client asks.
    pub(super) fn ask(&mut self, number: u64, body: &str) {
        self.ask_on(number, 0, body);
    }

    /// The same on a strand.
    pub(super) fn ask_on(&mut self, number: u64, strand: u16, body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let input = session::Input::Request { strand, body };
        self.client_takes(Owner::Client(client(number)), Mail::Input { number: 0, input });
    }

    /// Puts a frame on a link, whoever it is of.
    pub(super) fn inject(&mut self, from: Owner, to: Owner, message: &Message) {
        let Owner::Party(group, _) = to else { panic!("only replicas are lied to here") };
        let group = self.directory.group(group).unwrap();
        let instance = InstanceId::root(group.id, Epoch::FIRST, &group.name);
        let envelope = Envelope { from, to, instance, bytes: wire::encode(message) };
        self.links.entry((from, to, Lane::Bulk)).or_default().push_back(envelope);
    }

    /// Puts a frame for a child of the root on a link.
    pub(super) fn inject_below(&mut self, from: Owner, to: Owner, child: Segment, bytes: &Bytes) {
        let Owner::Party(group, _) = to else { panic!("only replicas are lied to here") };
        let group = self.directory.group(group).unwrap();
        let instance = InstanceId::root(group.id, Epoch::FIRST, &group.name).child(child);
        let envelope = Envelope { from, to, instance, bytes: bytes.clone() };
        self.links.entry((from, to, Lane::Control)).or_default().push_back(envelope);
    }

    pub(super) fn replica(&self, group: u16, p: u16) -> &Member {
        match &self.nodes[&party(group, p)] {
            Node::Replica(tree) => tree.root(),
            Node::Client(_) => unreachable!("a party is a replica"),
        }
    }

    /// How many bytes a replica takes, all in all.
    pub(super) fn size(&self, group: u16, p: u16) -> usize {
        match &self.nodes[&party(group, p)] {
            Node::Replica(tree) => tree.save().len(),
            Node::Client(_) => unreachable!("a party is a replica"),
        }
    }

    /// Saves a replica and loads it again, as a restart does.
    pub(super) fn restart(&mut self, group: u16, p: u16) {
        let owner = party(group, p);
        let Node::Replica(tree) = &self.nodes[&owner] else { unreachable!("a party is a replica") };
        let (bytes, mut out) = (tree.save(), Out::default());
        let loaded = Tree::load(self.seat(owner, group), &bytes, &mut out).unwrap();
        assert_eq!(loaded.save(), bytes);
        self.nodes.insert(owner, Node::Replica(Box::new(loaded)));
        self.alarms.retain(|_, (of, _)| *of != owner);
        self.release(owner, out);
    }

    fn replica_takes(&mut self, owner: Owner, mail: Mail<Member>) {
        let mut out = Out::default();
        if let Some(Node::Replica(tree)) = self.nodes.get_mut(&owner) {
            tree.take(mail, &mut out);
        }
        self.release(owner, out);
    }

    fn client_takes(&mut self, owner: Owner, mail: Mail<Session>) {
        let mut out = Out::default();
        if let Some(Node::Client(tree)) = self.nodes.get_mut(&owner) {
            tree.take(mail, &mut out);
        }
        self.release(owner, out);
    }

    fn release(&mut self, owner: Owner, out: Out) {
        for (to, instance, lane, bytes) in out.sent {
            for to in self.addressees(owner, to, &instance) {
                let mut envelope =
                    Envelope { from: owner, to, instance: instance.clone(), bytes: bytes.clone() };
                if (self.meddle)(&mut envelope) {
                    self.links.entry((owner, to, lane)).or_default().push_back(envelope);
                }
            }
        }
        for (alarm, after) in out.alarms {
            self.count += 1;
            self.alarms.insert((self.now + after.as_micros(), self.count), (owner, alarm));
        }
        self.faults.extend(out.faults.into_iter().map(|(peer, fault)| (owner, peer, fault)));
        if let Owner::Client(client) = owner {
            self.outputs.entry(client).or_default().extend(out.outputs);
        }
    }

    fn addressees(&self, from: Owner, to: To, instance: &InstanceId) -> Vec<Owner> {
        let group = instance.of().group;
        let all = |group: GroupId| {
            let n = self.directory.group(group).unwrap().thresholds.n();
            PartyId::all(n).map(move |party| Owner::Party(group, party))
        };
        match to {
            To::Member(party) => vec![Owner::Party(group, party)],
            To::Everyone => all(group).filter(|owner| *owner != from).collect(),
            To::Group(group) => all(group).collect(),
            To::Foreign(group, party) => vec![Owner::Party(group, party)],
            To::Client(client) => vec![Owner::Client(client)],
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below as u64) as usize
    }

    /// Delivers one frame of some link. False when none is on its way.
    fn deliver(&mut self) -> bool {
        let links = self.links.len();
        if links == 0 {
            return false;
        }
        let place = self.random(links);
        let key = *self.links.keys().nth(place).expect("the place exists");
        let link = self.links.get_mut(&key).expect("the link exists");
        let envelope = link.pop_front();
        if link.is_empty() {
            self.links.remove(&key);
        }
        let Some(Envelope { from, to, instance, bytes }) = envelope else { return true };
        if self.crashed.contains(&from) || self.crashed.contains(&to) {
            return true;
        }
        match to {
            Owner::Party(group, _) => {
                let from = from.seen_from(Some(group));
                self.replica_takes(to, Mail::Frame { from, instance, bytes });
            }
            Owner::Client(_) => {
                let from = from.seen_from(None);
                self.client_takes(to, Mail::Frame { from, instance, bytes });
            }
        }
        true
    }

    /// How many alarms are set.
    pub(super) fn alarms(&self) -> usize {
        self.alarms.len()
    }

    /// Delivers frames until none is on its way.
    pub(super) fn settle(&mut self) {
        for _ in 0..5_000_000 {
            if !self.deliver() {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Lets so much time pass; frames take none.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.now + span.as_micros();
        self.settle();
        while let Some(entry) = self.alarms.first_entry().filter(|entry| entry.key().0 <= end) {
            self.now = entry.key().0;
            let (owner, alarm) = entry.remove();
            match owner {
                _ if self.crashed.contains(&owner) => {}
                Owner::Party(..) => self.replica_takes(owner, Mail::Alarm(alarm)),
                Owner::Client(_) => self.client_takes(owner, Mail::Alarm(alarm)),
            }
            self.settle();
        }
        self.now = end;
    }

    /// The answers that a client has, by number.
    pub(super) fn answers(&self, number: u64) -> BTreeMap<u64, String> {
        let answered = |output: &session::Output| match output {
            session::Output::Answered { number, body, .. } => {
                Some((*number, String::from_utf8_lossy(body).into_owned()))
            }
            _ => None,
        };
        self.outputs[&client(number)].iter().filter_map(answered).collect()
    }

    /// Asserts that the replicas of a group, but for some, are in the same state.
    pub(super) fn assert_equal(&self, group: u16, but: &[u16]) {
        let n = self.directory.group(GroupId::new(group)).unwrap().thresholds.n();
        let all: Vec<_> = (0..n)
            .filter(|p| !but.contains(p))
            .map(|p| (self.replica(group, p).slot(), self.replica(group, p).digest()))
            .collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
    }
}
