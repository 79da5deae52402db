//! One delivered batch at a time: count its ballots, gather what is due, ask the helper, apply.

use std::collections::BTreeMap;

use super::{
    log::Entry,
    machine::{Ask, Replica, Stream, Timer},
    message::{Ballot, FETCH_MAX, Message, Reply},
    reply::say_replies,
    service::{Action, Item, Service},
    state::{Due, Turn},
};
use crate::{
    crypto::Digest,
    effects::{Effects, To},
    id::{ClientId, GroupId, PartyId, Slot},
    protocol::Protocol,
    stream::atomic::Input as Order,
    stream::batch::Batch,
    time::Span,
    wire,
};

/// How many slots the stream may deliver ahead of what took effect: some rounds of ballots.
pub(super) const CREDIT: u64 = 256;

/// How long a body may take before another member is asked.
pub(super) const FETCH_AFTER: Span = Span::millis(200);

/// After so many tries of fetching a body, a state above it is as good.
pub(super) const FETCH_TRIES: u32 = 4;

impl<S: Service, A: Stream> Replica<S, A> {
    /// Does the next thing that can be done. False when there is none.
    pub(super) fn advance(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        if self.try_load(fx) {
            return true;
        }
        match &self.turn {
            Turn::Planned { .. } | Turn::Surveying { .. } | Turn::Reminding => false,
            Turn::Gathering { .. } => self.try_enter(fx),
            Turn::Idle => match self.log.next(self.state.slot) {
                None => false,
                Some(Entry::Batch { first, from, batch }) => {
                    self.count(first, from, &batch, fx);
                    true
                }
                Some(Entry::End(position)) => {
                    self.on_round_end(position, fx);
                    true
                }
            },
        }
    }

    /// Counts the ballots of one batch.
    fn count(&mut self, first: Slot, from: PartyId, batch: &Batch, fx: &mut Effects<'_, Self>) {
        let needed = fx.seat().thresholds().one_correct();
        let (mut due, mut slot, mut ballots) = (Vec::new(), first, Vec::new());
        for payload in batch.iter() {
            match Ballot::read(&payload) {
                Ok(ballot) => {
                    self.state.vote(slot, from, &ballot, needed, &mut due);
                    ballots.push(ballot);
                }
                Err(fault) => fx.accuse(from, fault),
            }
            slot = slot.next();
        }
        self.state.slot = slot;
        self.turn = Turn::Gathering { due, tries: 0 };
        ballots.iter().for_each(|ballot| self.on_ballot(from, ballot, fx));
        if !self.missing().is_empty() {
            self.fetch(fx);
        }
    }

    /// The due ids without a body, with those who vouched for them.
    fn missing(&self) -> Vec<(Digest, Vec<PartyId>)> {
        let Turn::Gathering { due, .. } = &self.turn else { return Vec::new() };
        let lacking = |due: &Due| match due {
            Due::Body { id, voters, .. } if self.store.get(id).is_none() => {
                Some((*id, voters.clone()))
            }
            Due::Body { .. } | Due::Tick { .. } => None,
        };
        due.iter().filter_map(lacking).collect()
    }

    fn fetch(&mut self, fx: &mut Effects<'_, Self>) {
        let Turn::Gathering { tries, .. } = &self.turn else { return };
        let (tries, me) = (*tries as usize, fx.seat().me());
        let mut asked: BTreeMap<PartyId, Vec<Digest>> = BTreeMap::new();
        for (id, voters) in self.missing() {
            let others: Vec<PartyId> = voters.into_iter().filter(|voter| *voter != me).collect();
            if let Some(voter) = others.get(tries % others.len().max(1)) {
                asked.entry(*voter).or_default().push(id);
            }
        }
        for (voter, ids) in asked {
            for ids in ids.chunks(FETCH_MAX) {
                fx.send(voter, Message::Fetch { ids: ids.to_vec() });
            }
        }
        fx.arm(Timer::Fetch, FETCH_AFTER);
    }

    /// A body did not come.
    pub(super) fn fetch_again(&mut self, fx: &mut Effects<'_, Self>) {
        if self.missing().is_empty() {
            return;
        }
        let mut tried = 0;
        if let Turn::Gathering { tries, .. } = &mut self.turn {
            *tries = tries.wrapping_add(1);
            tried = *tries;
        }
        self.fetch(fx);
        if tried.is_multiple_of(FETCH_TRIES) {
            self.become_behind(fx);
        }
    }

    /// Lets what is due take effect, once all bodies are there.
    fn try_enter(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        if !self.missing().is_empty() {
            return false;
        }
        let Turn::Gathering { due, .. } = std::mem::replace(&mut self.turn, Turn::Idle) else {
            return false;
        };
        let ids: Vec<(Digest, Slot)> = due.iter().filter_map(Due::body).collect();
        let store = &self.store;
        let (items, reopened) = self.state.enter(due, |id| store.get(id));
        for (id, slot) in ids {
            self.feed.took_effect(&id);
            // What this member is still going to vouch for it must keep until that is counted.
            if !reopened.contains(&id) && !self.feed.has(&id) {
                self.store.finish(id, slot);
            }
        }
        let groups: Vec<GroupId> = self.state.groups.ids().collect();
        for group in groups {
            self.hearing.forget(group, self.state.groups.heard(group));
        }
        if items.is_empty() {
            return true;
        }
        if let Some(ask) = self.state.service.plan(&items) {
            self.turn = Turn::Planned { items };
            self.ask_helper(ask, fx);
            return false;
        }
        self.apply(items, None, fx);
        true
    }

    /// The helper answered what it was asked last.
    pub(super) fn on_answer(
        &mut self,
        answer: <S::Helper as Protocol>::Output,
        fx: &mut Effects<'_, Self>,
    ) {
        match std::mem::replace(&mut self.turn, Turn::Idle) {
            Turn::Planned { items } => self.apply(items, Some(answer), fx),
            Turn::Surveying { position } => self.checkpoint(position, Some(answer), fx),
            Turn::Reminding => {}
            turn @ (Turn::Idle | Turn::Gathering { .. }) => self.turn = turn,
        }
    }

    fn apply(
        &mut self,
        items: Vec<Item>,
        answer: Option<<S::Helper as Protocol>::Output>,
        fx: &mut Effects<'_, Self>,
    ) {
        let mut actions = Vec::new();
        self.state.service.apply(items, answer, &mut actions);
        let mut replies = BTreeMap::new();
        actions.into_iter().for_each(|action| self.perform(action, &mut replies, fx));
        replies.into_iter().for_each(|(client, replies)| say_replies(client, replies, fx));
        self.arm_tick(fx);
        self.arm_resend(fx);
        if self.state.groups.ids().any(|group| self.owes_ack(group)) {
            self.arm_ack(fx);
        }
    }

    fn owes_ack(&self, group: GroupId) -> bool {
        self.state.groups.heard(group) > self.acks_sent.get(&group).copied().unwrap_or(0)
    }

    fn perform(
        &mut self,
        action: Action,
        replies: &mut BTreeMap<ClientId, Vec<Reply>>,
        fx: &mut Effects<'_, Self>,
    ) {
        match action {
            Action::Reply { client, number, body } => {
                if self.state.clients.answer(client, number, &body) {
                    replies.entry(client).or_default().push(Reply { number, body });
                }
            }
            Action::Tell { to, body } => {
                let known = fx.seat().directory.group(to).is_some();
                if known && to != fx.seat().group.id {
                    let statement = self.state.groups.tell(to, body);
                    self.acks_sent.insert(to, statement.ack);
                    fx.send_to(To::Group(to), Message::Statement(statement));
                }
            }
        }
    }

    /// Sets the alarm for the next tick, if the service wants one and it is not set.
    pub(super) fn arm_tick(&mut self, fx: &mut Effects<'_, Self>) {
        let next = self.state.next_tick();
        match next {
            Some((tick, span)) if self.ticking != Some(tick) => fx.arm(Timer::Tick, span),
            None if self.ticking.is_some() => fx.disarm(Timer::Tick),
            _ => {}
        }
        self.ticking = next.map(|(tick, _)| tick);
    }

    /// Submits what waits to be vouched for, while few ballots are in flight.
    pub(super) fn try_submit(&mut self, fx: &mut Effects<'_, Self>) {
        let groups = &self.state.groups;
        let eager = groups.ids().any(|group| groups.unacked(group) > super::entry::OUTBOX_EAGER);
        let (me, state, store) = (fx.seat().me(), &self.state, &self.store);
        let gone = self.feed.retain(|id| state.may_vouch(me, id, store.get(id)));
        gone.iter().for_each(|id| self.let_go(me, id));
        while let Some(ballot) = self.feed.next(eager) {
            let batch = Batch::of([wire::encode(&ballot)]);
            fx.ask(Ask::Stream(Order::Submit { batch }));
        }
    }

    /// Gives the stream credit, in halves, so that it is asked rarely.
    pub(super) fn try_pull(&mut self, fx: &mut Effects<'_, Self>) {
        let wanted = self.state.slot.plus(CREDIT);
        if wanted.number() >= self.granted.number() + CREDIT / 2 {
            self.granted = wanted;
            fx.ask(Ask::Stream(Order::Pull { up_to: wanted }));
        }
    }
}

impl Due {
    fn body(&self) -> Option<(Digest, Slot)> {
        match self {
            Self::Body { slot, id, .. } => Some((*id, *slot)),
            Self::Tick { .. } => None,
        }
    }
}
