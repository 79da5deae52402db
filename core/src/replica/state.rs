//! All that decides effects. It changes by ordered ballots only, the same at every replica.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    clients::Clients,
    groups::Groups,
    message::{Ballot, Body},
    service::{Command, Item, Service},
    vouch::Vouches,
};
use crate::{
    crypto::Digest,
    id::{PartyId, Slot},
    protocol::Protocol,
    stream::atomic::Position,
    time::Span,
};

/// Something that enough members vouched for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Due {
    /// The body with this id takes effect; these members hold it.
    Body { slot: Slot, id: Digest, voters: Vec<PartyId> },
    /// A tick.
    Tick { slot: Slot },
}

/// The replicated state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct State<S: Service> {
    pub(super) service: S,
    /// The next slot.
    pub(super) slot: Slot,
    /// The slot of the last checkpoint.
    pub(super) checkpointed: Slot,
    pub(super) vouches: Vouches,
    /// The number of the last ballot of each member.
    pub(super) counted: BTreeMap<PartyId, u64>,
    pub(super) clients: Clients,
    pub(super) groups: Groups,
    /// The number of the last tick that took effect or was passed over.
    pub(super) ticks: u64,
    /// Who measured the next tick.
    measured: BTreeSet<PartyId>,
    /// Whether the service held something that time can end.
    timed: bool,
}

/// What a checkpoint holds: the state, and what the helper told of its own.
pub(super) type Saved<S> = (State<S>, Option<<<S as Service>::Helper as Protocol>::Output>);

/// Where a replica stands, and what it is to do next there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Turn {
    /// Nothing: the next delivered batch may come.
    Idle,
    /// These are due; some bodies may be missing.
    Gathering { due: Vec<Due>, tries: u32 },
    /// The helper was asked for these.
    Planned { items: Vec<Item> },
    /// The helper was asked for its state at this checkpoint.
    Surveying { position: Position },
    /// The helper was told of a state that was loaded.
    Reminding,
}

impl<S: Service> State<S> {
    pub(super) fn new(service: S, clients: Clients) -> Self {
        Self {
            service,
            slot: Slot::FIRST,
            checkpointed: Slot::FIRST,
            vouches: Vouches::new(),
            counted: BTreeMap::new(),
            clients,
            groups: Groups::default(),
            ticks: 0,
            measured: BTreeSet::new(),
            timed: false,
        }
    }

    /// Takes one ballot: what comes due by it.
    pub(super) fn vote(
        &mut self,
        slot: Slot,
        from: PartyId,
        ballot: &Ballot,
        needed: usize,
        due: &mut Vec<Due>,
    ) {
        self.counted.insert(from, ballot.number);
        for id in ballot.statements.iter().chain(&ballot.requests) {
            if let Some(voters) = self.vouches.vouch(from, *id, needed) {
                due.push(Due::Body { slot, id: *id, voters });
            }
        }
        ballot.withdrawn.iter().for_each(|id| self.vouches.withdraw(from, id));
        for (group, ack) in &ballot.acks {
            self.groups.vouch_ack(from, *group, *ack, needed);
        }
        if self.timed && ballot.tick == Some(self.ticks + 1) && self.measured.insert(from) {
            self.try_tick(slot, needed, due);
        }
    }

    /// Whether a vouch of `me` for this id, whose body this is, may yet lead to something.
    pub(super) fn may_vouch(&self, me: PartyId, id: &Digest, body: Option<&Body>) -> bool {
        let news = !self.vouches.stands(me, id) && !self.vouches.took_effect(id);
        news && self.is_open(body)
    }

    /// Whether what this says may take effect.
    pub(super) fn is_open(&self, body: Option<&Body>) -> bool {
        match body {
            Some(Body::Request(request)) => self.clients.is_open(request),
            Some(Body::Statement(group, said)) => self.groups.is_open(*group, said.number),
            None => false,
        }
    }

    fn try_tick(&mut self, slot: Slot, needed: usize, due: &mut Vec<Due>) {
        if self.measured.len() >= needed {
            self.measured.clear();
            self.ticks += 1;
            due.push(Due::Tick { slot });
        }
    }

    /// The length of the next tick, and its number. When nothing is left for time to end, the next
    /// tick is passed over: who measured it measured nothing that comes later.
    pub(super) fn next_tick(&mut self) -> Option<(u64, Span)> {
        let span = self.service.tick();
        if span.is_none() && self.timed {
            self.measured.clear();
            self.ticks += 1;
        }
        self.timed = span.is_some();
        span.map(|span| (self.ticks + 1, span))
    }

    /// Lets what is due enter: what takes effect now, in order. A body that is not there is passed
    /// over, so all must be there. And what has no effect after all, and may be vouched for again.
    pub(super) fn enter<'a>(
        &mut self,
        due: Vec<Due>,
        body: impl Fn(&Digest) -> Option<&'a Body>,
    ) -> (Vec<Item>, BTreeSet<Digest>) {
        let (mut items, mut reopened) = (Vec::with_capacity(due.len()), BTreeSet::new());
        for due in due {
            match due {
                Due::Tick { slot } => items.push(Item { slot, command: Command::Tick }),
                Due::Body { slot, id, .. } => match body(&id) {
                    Some(Body::Request(request)) => {
                        let room = self.clients.enter(slot, request, &mut items);
                        if !room {
                            self.vouches.reopen(&id);
                            reopened.insert(id);
                        }
                    }
                    Some(Body::Statement(from, statement)) => {
                        self.groups.take(slot, *from, statement.clone(), &mut items);
                    }
                    None => {}
                },
            }
        }
        (items, reopened)
    }
}
