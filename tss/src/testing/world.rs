//! One transaction manager, two resource managers with their lock tables, and clients, as plain
//! values. Items of different sources overtake each other at will, those of one source never; they
//! are cut into batches at will, while a copy of every manager takes them one at a time.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use maftia_core::{
    crypto::Digest,
    id::{ClientId, GroupId, Slot},
    protocol::Data,
    replica::{
        Number,
        service::{Action, Command, Item, Service},
    },
    time::Span,
    wire::{decode, encode},
};

use super::Dice;
use crate::{
    client::Call,
    lock::LockTable,
    manager::{ManagerSpec, TransactionManager},
    refusal::Refusal,
    resource::{ResourceManager, ResourceSpec},
    resources::Resource,
    transaction::Key,
};

pub(crate) const TM: GroupId = GroupId::new(0);
pub(crate) const LEFT: GroupId = GroupId::new(1);
pub(crate) const RIGHT: GroupId = GroupId::new(2);

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).expect("a key")
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::of_key(&Digest::of("test", name.as_bytes()))
}

/// Who sends items to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Group(GroupId),
    Client(ClientId),
    Clock,
}

/// A manager, with its helper.
pub(crate) trait Machine {
    fn take(&mut self, items: Vec<Item>) -> Vec<Action>;
    fn ticks(&self) -> bool;
    /// What comes back when it is saved and loaded elsewhere.
    fn moved(&self) -> Self;
}

impl Machine for TransactionManager {
    fn take(&mut self, items: Vec<Item>) -> Vec<Action> {
        let mut actions = Vec::new();
        assert!(self.plan(&items).is_none());
        self.apply(items, None, &mut actions);
        actions
    }

    fn ticks(&self) -> bool {
        self.tick().is_some()
    }

    fn moved(&self) -> Self {
        decode(&encode(self)).expect("what is saved can be loaded")
    }
}

impl<R: Resource> Machine for (ResourceManager<R>, LockTable) {
    fn take(&mut self, items: Vec<Item>) -> Vec<Action> {
        let (manager, locks) = self;
        let mut actions = Vec::new();
        let answers = manager.plan(&items).map(|script| locks.run(script));
        manager.apply(items, answers, &mut actions);
        actions
    }

    fn ticks(&self) -> bool {
        self.0.tick().is_some()
    }

    fn moved(&self) -> Self {
        let (manager, locks) = self;
        let remembered = manager.remember().map(|script| locks.clone().run(script));
        let saved = encode(&(manager, remembered));
        let (manager, remembered): (ResourceManager<R>, _) =
            decode(&saved).expect("what is saved can be loaded");
        let mut locks = LockTable::default();
        let script = manager.remind(remembered).expect("there are locks to load");
        locks.run(script);
        (manager, locks)
    }
}

/// A manager that takes batches, and a copy of it that takes one item at a time.
#[derive(Clone, Debug)]
pub(crate) struct Twin<M> {
    pub(crate) batched: M,
    single: M,
}

impl<M: Machine + Data> Twin<M> {
    fn new(machine: M) -> Self {
        Self { batched: machine.clone(), single: machine }
    }

    fn take(&mut self, items: Vec<Item>, save: bool) -> Vec<Action> {
        let singly: Vec<Action> =
            items.iter().flat_map(|item| self.single.take(vec![item.clone()])).collect();
        let actions = self.batched.take(items);
        assert_eq!(actions, singly, "batches make no difference to what is said");
        assert_eq!(self.batched, self.single, "batches make no difference to the state");
        if save {
            assert_eq!(encode(&self.batched), encode(&self.single));
            self.batched = self.batched.moved();
        }
        actions
    }
}

pub(crate) struct World<R: Resource> {
    pub(crate) dice: Dice,
    pub(crate) tm: Twin<TransactionManager>,
    pub(crate) rms: BTreeMap<GroupId, Twin<(ResourceManager<R>, LockTable)>>,
    queues: BTreeMap<(GroupId, Source), VecDeque<Command>>,
    numbers: BTreeMap<ClientId, u32>,
    open: BTreeMap<(ClientId, Number), GroupId>,
    replies: BTreeMap<(ClientId, Number), Bytes>,
    slots: BTreeMap<GroupId, u64>,
    /// A group that nothing reaches for now.
    mute: Option<GroupId>,
}

impl<R: Resource> World<R> {
    pub(crate) fn new(seed: u64, resource: R, initial: BTreeMap<Key, R::Value>) -> Self {
        Self::with(seed, ResourceSpec::new(TM, resource, initial))
    }

    pub(crate) fn with(seed: u64, spec: ResourceSpec<R>) -> Self {
        let manager = ManagerSpec {
            tick: Span::millis(1_000),
            lease: Span::millis(20_000),
            patience: Span::millis(10_000),
        };
        let rm = |group| {
            let manager = ResourceManager::at(group, spec.clone());
            (group, Twin::new((manager, LockTable::new(spec.quotas.clone()))))
        };
        Self {
            dice: Dice::new(seed),
            tm: Twin::new(TransactionManager::at(TM, manager)),
            rms: [LEFT, RIGHT].into_iter().map(rm).collect(),
            queues: BTreeMap::new(),
            numbers: BTreeMap::new(),
            open: BTreeMap::new(),
            replies: BTreeMap::new(),
            slots: BTreeMap::new(),
            mute: None,
        }
    }

    /// Sends a request; its number fetches the answer.
    pub(crate) fn send<T>(&mut self, client: ClientId, call: &Call<T>) -> Number {
        self.send_raw(client, call.to(), call.body())
    }

    pub(crate) fn send_raw(&mut self, client: ClientId, to: GroupId, body: Bytes) -> Number {
        let count = self.numbers.entry(client).or_default();
        *count += 1;
        let number = Number::new(1, *count);
        self.open.insert((client, number), to);
        let queue = self.queues.entry((to, Source::Client(client))).or_default();
        queue.push_back(Command::Request { client, number, body });
        number
    }

    pub(crate) fn heard(&mut self, client: ClientId, number: Number) -> Option<Bytes> {
        self.replies.remove(&(client, number))
    }

    /// Sends a request and lets everything happen that then can.
    pub(crate) fn ask<T>(&mut self, client: ClientId, call: Call<T>) -> Result<T, Refusal> {
        let number = self.send(client, &call);
        self.settle();
        let reply = self.heard(client, number).expect("the answer waits for nothing");
        call.read(&reply)
    }

    pub(crate) fn busy(&self) -> bool {
        !self.filled().is_empty()
    }

    /// Where something waits that can be delivered.
    fn filled(&self) -> Vec<(GroupId, Source)> {
        let held = |to: GroupId| self.mute == Some(to);
        let filled = self.queues.iter().filter(|((to, _), queue)| !held(*to) && !queue.is_empty());
        filled.map(|(at, _)| *at).collect()
    }

    /// Nothing reaches this group for now, as if it had lost its quorum.
    pub(crate) fn mute(&mut self, group: GroupId) {
        self.mute = Some(group);
    }

    pub(crate) fn unmute(&mut self) {
        self.mute = None;
    }

    /// Whether a transaction there has promised to commit if told so.
    pub(crate) fn prepared(&self, group: GroupId) -> bool {
        let rows = self.rms[&group].batched.1.rows(usize::MAX);
        rows.iter().flat_map(|row| &row.holders).any(|(_, _, sealed)| *sealed)
    }

    /// Lets one group take a batch of what waits for it.
    pub(crate) fn deliver(&mut self) {
        let filled = self.filled();
        let Some((group, _)) = self.dice.pick(&filled) else { return };
        let sources: Vec<Source> =
            filled.iter().filter(|(to, _)| *to == group).map(|(_, source)| *source).collect();
        let mut commands = Vec::new();
        for _ in 0..=self.dice.below(6) {
            let source = self.dice.pick(&sources).expect("something waits");
            let queue = self.queues.get_mut(&(group, source)).expect("it was filled");
            commands.extend(queue.pop_front());
        }
        self.take(group, commands);
    }

    fn take(&mut self, group: GroupId, commands: Vec<Command>) {
        let slot = self.slots.entry(group).or_default();
        let items = commands.into_iter().map(|command| {
            *slot += 1;
            Item { slot: Slot::new(*slot), command }
        });
        let items: Vec<Item> = items.collect();
        let save = self.dice.below(16) == 0;
        let actions = match self.rms.get_mut(&group) {
            Some(twin) => twin.take(items, save),
            None => self.tm.take(items, save),
        };
        for action in actions {
            self.act(group, action);
        }
    }

    fn act(&mut self, group: GroupId, action: Action) {
        match action {
            Action::Reply { client, number, body } => {
                let asked = self.open.remove(&(client, number));
                assert_eq!(asked, Some(group), "a request is answered once, by whom was asked");
                self.replies.insert((client, number), body);
            }
            Action::Tell { to, body } => {
                let queue = self.queues.entry((to, Source::Group(group))).or_default();
                queue.push_back(Command::Statement { from: group, body });
            }
        }
    }

    /// A tick reaches whoever wants one.
    pub(crate) fn tick(&mut self) {
        for group in [TM, LEFT, RIGHT] {
            let wants = match self.rms.get(&group) {
                Some(twin) => twin.batched.ticks(),
                None => self.tm.batched.ticks(),
            };
            let queue = self.queues.entry((group, Source::Clock)).or_default();
            if wants && queue.is_empty() {
                queue.push_back(Command::Tick);
            }
        }
    }

    /// Until nothing can happen without time or clients.
    pub(crate) fn settle(&mut self) {
        while self.busy() {
            self.deliver();
        }
    }

    /// Time passes until all managers are idle.
    pub(crate) fn run_out(&mut self) {
        for _ in 0..200 {
            self.settle();
            self.tick();
        }
        assert!(!self.busy(), "somebody still wants ticks");
        for twin in self.rms.values() {
            let (manager, locks) = &twin.batched;
            assert!(manager.is_idle(), "an orphan: {manager:?}");
            assert!(locks.is_idle(), "a lock is left: {locks:?}");
        }
        assert_eq!(self.tm.batched.status().open, 0);
        assert!(self.open.is_empty(), "a request was never answered: {:?}", self.open);
    }

    pub(crate) fn rm(&self, group: GroupId) -> &ResourceManager<R> {
        &self.rms[&group].batched.0
    }
}
