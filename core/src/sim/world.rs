//! A world: trees of any types, of several groups and of clients, and what is in flight among them.

mod mishaps;
mod power;
mod run;
mod state;
mod view;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
};

use bytes::Bytes;

use super::{
    adversary::Adversary,
    behaviour::Behaviour,
    ideal,
    pool::{Channel, Letter, Pool, Site},
    seeds::{self, Rng},
    site::{AnyTree, Describe, Desk, Post, Rooted},
    story::Story,
};
use crate::{
    crypto::{Digest, Keys},
    effects::Lane,
    fault::Accusation,
    host::Alarm,
    id::{ClientId, Epoch, PartyId},
    path::InstanceId,
    protocol::{Kind, Protocol},
    seat::{Directory, Group, Owner, Seat},
    thresholds::Thresholds,
    wire,
};

/// The most letters that a run delivers before it counts as a livelock. The longest of our
/// properties, an atomic stream of seven parties over some rounds, takes a tenth.
pub const STEPS_MAX: u64 = 2_000_000;

/// The most frames that wait for a root that was not added yet, of each receiver.
const STRAYS_MAX: usize = 4_096;

/// Makes the keys of an owner: for runs with real cryptography.
pub type KeyMaker = Arc<dyn Fn(Owner, Option<&Group>, &Directory) -> Keys + Send + Sync>;

/// A tree and where it stands.
struct Place {
    owner: Owner,
    id: InstanceId,
    face: usize,
    parent: Option<Site>,
    /// `None` when it is over.
    tree: Option<Box<dyn AnyTree>>,
    /// All mail so far, in a world that keeps journals.
    history: Vec<Post>,
    /// Everything said so far, hashed in its order.
    said: blake3::Hasher,
    /// Of state and outputs, if nothing happened since.
    digest: Option<blake3::Hash>,
}

/// A corrupted party.
struct Fallen {
    behaviour: Box<dyn Behaviour>,
    others: Arc<[Owner]>,
    keys: Keys,
    rng: Rng,
}

/// A frame that waits for its root to be added.
type Stray = (Owner, InstanceId, Bytes);

/// See the [module](self). Dropped while a property fails for the second time, it tells its story.
pub struct World {
    seed: u64,
    directory: Arc<Directory>,
    keys: KeyMaker,
    places: Vec<Place>,
    /// Those that have not started.
    unborn: Vec<Site>,
    /// The open trees of each owner by their roots, one a face.
    homes: BTreeMap<Owner, BTreeMap<InstanceId, Vec<Site>>>,
    pool: Pool,
    /// By the time when they are due, and by their number.
    alarms: BTreeMap<(u64, u64), (Site, Alarm)>,
    armed: u64,
    now: u64,
    steps: u64,
    adversary: Option<Box<dyn Adversary>>,
    /// What the adversary draws from.
    chance: Rng,
    /// What faults of correct parties are drawn from: a replayed run has the same ones.
    mishaps: Rng,
    fallen: BTreeMap<Owner, Fallen>,
    strays: BTreeMap<Owner, VecDeque<Stray>>,
    accusations: Vec<(Owner, Accusation)>,
    desk: Desk,
    describe: BTreeMap<Kind, Describe>,
    options: Options,
    /// In a world that may lose its power.
    disks: Option<power::Disks>,
    story: Story,
}

/// How a world differs from the usual one.
#[derive(Clone, Debug)]
struct Options {
    ordered: bool,
    journals: bool,
    pace: u64,
    restarts: u64,
    losses: u64,
    power_losses: u64,
    steps_max: u64,
    detach: Arc<BTreeSet<Kind>>,
}

impl World {
    /// A world of these groups, without any tree yet, with ideal cryptography.
    pub fn new<'a>(seed: u64, groups: impl IntoIterator<Item = (&'a str, Thresholds)>) -> Self {
        let groups = groups.into_iter().map(|(name, thresholds)| (name.into(), thresholds));
        let mut secret = [0; 32];
        Rng::new(seed).fork(0x5ec).fill(&mut secret);
        let options = Options {
            ordered: true,
            journals: false,
            pace: *Rng::new(seed).fork(0xace).choose(&[5, 50, 500]),
            restarts: 0,
            losses: 0,
            power_losses: 0,
            steps_max: STEPS_MAX,
            detach: Arc::default(),
        };
        Self {
            seed,
            directory: Arc::new(Directory::new(groups)),
            keys: Arc::new(move |owner, group, all| ideal::keys(secret, owner, group, all)),
            places: Vec::new(),
            unborn: Vec::new(),
            homes: BTreeMap::new(),
            pool: Pool::default(),
            alarms: BTreeMap::new(),
            armed: 0,
            now: 0,
            steps: 0,
            adversary: None,
            chance: Rng::new(seed).fork(0xc4),
            mishaps: Rng::new(seed).fork(0x315),
            fallen: BTreeMap::new(),
            strays: BTreeMap::new(),
            accusations: Vec::new(),
            desk: Desk::default(),
            describe: BTreeMap::new(),
            options,
            disks: None,
            story: Story::new(seed, seeds::telling()),
        }
    }

    /// Takes keys from here instead: for the share of the seeds that runs real cryptography. Comes
    /// before the first tree.
    pub fn set_keys(
        &mut self,
        keys: impl Fn(Owner, Option<&Group>, &Directory) -> Keys + Send + Sync + 'static,
    ) {
        assert!(self.places.is_empty(), "keys are dealt before anybody is seated");
        self.keys = Arc::new(keys);
    }

    /// Lets `adversary` pick what happens next. Without one, the seed chooses
    /// ([`of_seed`](adversary::of_seed)).
    pub fn set_adversary(&mut self, adversary: impl Adversary + 'static) {
        self.adversary = Some(Box::new(adversary));
    }

    /// Breaks the promise that frames of one lane of a link arrive in order.
    pub fn set_unordered(&mut self) {
        self.options.ordered = false;
    }

    /// Restarts correct parties from their snapshots, so many times, at steps that the seed chooses.
    pub fn set_restarts(&mut self, restarts: u64) {
        self.options.restarts = restarts;
    }

    /// Lets links between correct parties [lose](Self::lose) what is on them, so many times, at steps
    /// that the seed chooses.
    pub fn set_losses(&mut self, losses: u64) {
        self.options.losses = losses;
    }

    /// Keeps all mail of each tree, which [`oracle::repeats_itself`](super::oracle) needs.
    pub fn set_journals(&mut self) {
        self.options.journals = true;
    }

    /// How much virtual time passes with each letter, in microseconds. The seed chooses otherwise.
    pub fn set_pace(&mut self, micros: u64) {
        self.options.pace = micros;
    }

    /// How many letters a run delivers before it counts as a livelock.
    pub fn set_steps_max(&mut self, steps: u64) {
        self.options.steps_max = steps;
    }

    /// Gives children of these kinds trees of their own, when they are children of a root.
    pub fn detach(&mut self, kinds: impl IntoIterator<Item = Kind>) {
        self.options.detach = Arc::new(kinds.into_iter().collect());
    }

    /// Lets stories say what messages of this protocol mean. Roots need not be taught.
    pub fn teach<P: Protocol>(&mut self) {
        self.describe.insert(P::KIND, super::site::describe::<P>);
    }

    /// A client with this name; it becomes part of the world with its first tree.
    pub fn client(name: &str) -> Owner {
        Owner::Client(ClientId::of_key(&Digest::of("simulated client", name.as_bytes())))
    }

    /// The group with this name.
    ///
    /// # Panics
    /// When the world has none.
    pub fn group(&self, name: &str) -> &Group {
        self.directory.named(name).unwrap_or_else(|| panic!("no group is named {name}"))
    }

    /// The members of a group, in order.
    pub fn members(&self, name: &str) -> Vec<Owner> {
        let group = self.group(name);
        PartyId::all(group.thresholds.n()).map(|party| Owner::Party(group.id, party)).collect()
    }

    /// The seat of an owner's root called `name`, which belongs to, or talks to, this group.
    pub fn seat(&self, owner: Owner, group: &str, name: &str) -> Seat {
        let group = self.group(group).clone();
        Seat {
            id: InstanceId::root(group.id, Epoch::FIRST, name),
            owner,
            keys: (self.keys)(owner, Some(&group), &self.directory),
            group: Arc::new(group),
            directory: Arc::clone(&self.directory),
        }
    }

    /// Adds a root. It starts with the next run. A root that bears its group's name is the service
    /// that other groups and clients reach.
    pub fn add<P: Protocol>(&mut self, seat: Seat, spec: P::Spec) -> Site {
        self.describe.insert(P::KIND, super::site::describe::<P>);
        let faces = self.fallen.get(&seat.owner).map_or(1, |fallen| fallen.behaviour.faces());
        let born = Rooted::<P>::new(seat, spec);
        let first = self.place(Box::new(born), 0, None);
        for face in 1..faces {
            let twin = self.places[first.0].tree.as_ref().expect("just placed").twin();
            self.place(twin, face, None);
        }
        self.let_strays_in(first);
        first
    }

    /// Adds the same root at each member of a group.
    pub fn add_group<P: Protocol>(
        &mut self,
        group: &str,
        name: &str,
        mut spec: impl FnMut(&Seat) -> P::Spec,
    ) {
        for owner in self.members(group) {
            let seat = self.seat(owner, group, name);
            let spec = spec(&seat);
            self.add::<P>(seat, spec);
        }
    }

    fn place(&mut self, tree: Box<dyn AnyTree>, face: usize, parent: Option<Site>) -> Site {
        let site = Site(self.places.len());
        self.unborn.push(site);
        let (owner, id) = (tree.seat().owner, tree.seat().id.clone());
        self.homes.entry(owner).or_default().entry(id.clone()).or_default().push(site);
        self.places.push(Place {
            owner,
            id,
            face,
            parent,
            tree: Some(tree),
            history: Vec::new(),
            said: blake3::Hasher::new(),
            digest: None,
        });
        site
    }

    /// Hands a party to the adversary. A behaviour that runs several copies of a party comes before
    /// the party's first tree runs. One that is corrupted already changes its behaviour: a liar that
    /// falls [`Mute`](super::behaviour::Mute) leaves the others to come to rest.
    ///
    /// # Panics
    /// When that makes more than `f` of its group.
    pub fn corrupt(&mut self, owner: Owner, behaviour: impl Behaviour + 'static) {
        self.corrupt_boxed(owner, Box::new(behaviour));
    }

    /// The same.
    pub fn corrupt_boxed(&mut self, owner: Owner, behaviour: Box<dyn Behaviour>) {
        if let Owner::Party(group, _) = owner {
            let f = self.directory.group(group).map_or(0, |group| group.thresholds.f());
            let others = self.fallen.keys().filter(|fallen| {
                **fallen != owner && matches!(fallen, Owner::Party(of, _) if *of == group)
            });
            let others = others.count();
            assert!(
                others < usize::from(f),
                "{group} tolerates {f} corrupted parties, not one more"
            );
        }
        self.overrun(owner, behaviour);
    }

    /// Hands a party to the adversary, whatever its group tolerates: beyond `f` faults only some
    /// promises hold.
    pub fn overrun(&mut self, owner: Owner, behaviour: Box<dyn Behaviour>) {
        for site in self.sites_of(owner) {
            if self.places[site.0].parent.is_some() {
                continue;
            }
            for face in 1..behaviour.faces() {
                assert!(self.unborn.contains(&site), "copies are made before a party runs");
                let tree = self.places[site.0].tree.as_ref().expect("not born, so not over");
                let twin = tree.twin();
                self.place(twin, face, None);
            }
        }
        let group = match owner {
            Owner::Party(group, _) => self.directory.group(group),
            Owner::Client(_) => None,
        };
        let others = self.parties().into_iter().filter(|other| match (other, group) {
            (Owner::Party(of, _), Some(group)) => *other != owner && *of == group.id,
            _ => true,
        });
        let fallen = Fallen {
            others: others.collect(),
            keys: (self.keys)(owner, group, &self.directory),
            rng: Rng::new(self.seed).fork(1 + self.fallen.len() as u64),
            behaviour,
        };
        self.fallen.insert(owner, fallen);
    }

    /// An input of the user of an owner's root. Like all that happens, it arrives when the adversary
    /// says so.
    ///
    /// # Panics
    /// When the owner has no root of this type.
    pub fn input<P: Protocol>(&mut self, owner: Owner, input: P::Input) {
        self.sites::<P>(owner)
            .into_iter()
            .for_each(|site| self.input_at(site, wire::encode(&input)));
    }

    /// An input of one copy of a corrupted party that runs several.
    ///
    /// # Panics
    /// When there is no such copy.
    pub fn input_face<P: Protocol>(&mut self, owner: Owner, face: usize, input: P::Input) {
        let sites = self.sites::<P>(owner);
        let site = sites.into_iter().find(|site| self.places[site.0].face == face);
        self.input_at(site.expect("the behaviour runs as many copies"), wire::encode(&input));
    }

    /// An input of the user of one root, for owners with several roots of one type.
    ///
    /// # Panics
    /// When another type of root stands there.
    pub fn input_to<P: Protocol>(&mut self, root: Site, input: P::Input) {
        assert!(self.sites::<P>(self.owner(root)).contains(&root), "no {} stands there", P::KIND);
        self.input_at(root, wire::encode(&input));
    }

    /// Puts a message of a corrupted party into flight, behind what it said to the same party before.
    /// For liars whose every word a test writes down.
    ///
    /// # Panics
    /// When the sender is not corrupted.
    pub fn inject<P: Protocol>(
        &mut self,
        from: Owner,
        to: Owner,
        instance: &InstanceId,
        message: &P::Message,
    ) {
        assert!(self.is_corrupted(from), "nobody speaks for {}", self.name(from));
        let (instance, bytes) = (instance.clone(), wire::encode(message));
        let channel = Channel::Link { from, to, lane: Lane::Control };
        self.pool.send(channel, Letter::Frame { from, to, instance, bytes });
    }

    fn input_at(&mut self, to: Site, bytes: Bytes) {
        self.pool.send(Channel::User(to), Letter::Input { to, number: 0, bytes });
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trees = self.places.iter().filter_map(|place| {
            Some((self.name(place.owner), place.id.to_string(), place.tree.as_ref()?))
        });
        f.debug_struct("World").field("seed", &self.seed).finish_non_exhaustive()?;
        f.debug_list().entries(trees).finish()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if seeds::telling() && std::thread::panicking() {
            eprint!("{}", self.story);
        }
    }
}
