//! What comes from outside: requests, statements, acknowledgements, and bodies that were lacking.

use std::collections::BTreeMap;

use super::{
    clients::Standing,
    machine::{Replica, Stream, Timer},
    message::{Asked, Ballot, Body, FETCH_MAX, Message, Refusal, Reply, Request, Statement},
    reply::say_replies,
    service::Service,
    state::Turn,
};
use crate::{
    crypto::Digest,
    effects::{Effects, To},
    fault::Fault,
    id::{GroupId, PartyId, Peer},
    time::Span,
};

/// How long a group that is told nothing waits for an acknowledgement of its own.
pub(super) const ACK_AFTER: Span = Span::millis(200);

/// How long an acknowledgement may take before a statement is said again. Links do not lose; only a
/// receiver without room, or one that loaded a state, lacks what it was told.
pub(super) const RESEND_AFTER: Span = Span::millis(2_000);

/// The most statements that are said again at a time.
pub(super) const RESEND_MAX: usize = 64;

/// With so many statements unacknowledged, new requests are refused: the other group does not keep up.
pub(super) const OUTBOX_MAX: usize = 4_096;

/// With so many statements unacknowledged, acknowledgements do not wait for another ballot.
pub(super) const OUTBOX_EAGER: usize = 256;

/// The most vouches that one new request, met by a crowded store, makes this member take back.
pub(super) const WITHDRAWN_MAX: usize = 16;

impl<S: Service, A: Stream> Replica<S, A> {
    /// A client says a request to this replica.
    pub(super) fn on_request(&mut self, request: Request, fx: &mut Effects<'_, Self>) {
        let client = request.client;
        self.keep_if_due(|| Body::Request(request.clone()));
        if !request.is_genuine(fx.seat()) {
            let what = "the authenticator of a request".into();
            return fx.accuse(Peer::Client(client), Fault::BadProof { what });
        }
        let (mut replies, mut refused, mut open) = (Vec::new(), BTreeMap::new(), Vec::new());
        for Asked { number, .. } in &request.commands {
            let number = *number;
            let why = match self.state.clients.standing(client, number) {
                Standing::Done(Some(body)) => {
                    replies.push(Reply { number, body });
                    continue;
                }
                Standing::Done(None) | Standing::Waiting => continue,
                Standing::Open => {
                    open.push(number);
                    continue;
                }
                Standing::Ahead => Refusal::Busy,
                Standing::Superseded => Refusal::Superseded,
                Standing::Stranger => Refusal::Stranger,
                Standing::Forgotten => Refusal::Forgotten,
            };
            refused.entry(why).or_insert_with(Vec::new).push(number);
        }
        say_replies(client, replies, fx);
        if !open.is_empty() && !self.try_vouch(request, fx) {
            refused.entry(Refusal::Busy).or_default().append(&mut open);
        }
        for (why, numbers) in refused {
            fx.send_to(To::Client(client), Message::Refused { numbers, why });
        }
    }

    /// Stores a genuine request and vouches for it, unless there is no room.
    fn try_vouch(&mut self, request: Request, fx: &mut Effects<'_, Self>) -> bool {
        let (id, client, me) = (request.id(), request.client, fx.seat().me());
        if self.state.vouches.stands(me, &id) || self.state.vouches.took_effect(&id) {
            return true;
        }
        let service = &self.state.service;
        let urgent = request.commands.iter().any(|asked| service.is_urgent(&asked.body));
        let body = Body::Request(request);
        if !self.store.is_open(&id) {
            let named = self.state.clients.names(client);
            let jammed =
                self.state.groups.ids().any(|to| self.state.groups.unacked(to) > OUTBOX_MAX);
            let busy = !urgent && (self.feed.is_full(client, named) || jammed);
            if self.store.is_crowded() {
                self.withdraw_oldest(me);
            }
            if busy || !self.store.has_room(client, named, &body) {
                return false;
            }
            self.store.keep(id, body);
        }
        self.vouch_in_turn(id, client, fx);
        true
    }

    /// Takes back the oldest vouches of this member: nobody else vouched for them all the while.
    fn withdraw_oldest(&mut self, me: PartyId) {
        let oldest: Vec<Digest> = self.state.vouches.of(me).take(WITHDRAWN_MAX).copied().collect();
        oldest.into_iter().for_each(|id| self.feed.withdraw(id));
    }

    /// A member of another group says what its service told this one.
    pub(super) fn on_statement(
        &mut self,
        group: GroupId,
        from: PartyId,
        statement: Statement,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(known) = fx.seat().directory.group(group) else { return };
        let needed = known.thresholds.one_correct();
        self.keep_if_due(|| Body::Statement(group, statement.clone()));
        if statement.number <= self.state.groups.heard(group) {
            // It does not know that it was heard.
            self.acks_sent.remove(&group);
            return self.arm_ack(fx);
        }
        if !self.state.groups.is_open(group, statement.number) {
            return;
        }
        let heard = self.hearing.hear(group, from, statement.clone(), needed);
        for (liar, fault) in heard.faults {
            fx.accuse(Peer::Foreign(group, liar), fault);
        }
        if let Some(id) = heard.agreed {
            self.vouch_statement(id, Body::Statement(group, statement), fx);
        }
    }

    fn vouch_statement(&mut self, id: Digest, body: Body, fx: &Effects<'_, Self>) {
        if self.state.may_vouch(fx.seat().me(), &id, Some(&body)) {
            self.store.keep(id, body);
            self.feed.statement(id);
        }
    }

    /// Stores what is due and lacking, whoever says it: the id is the name of every word of it.
    fn keep_if_due(&mut self, body: impl Fn() -> Body) {
        if !matches!(self.turn, Turn::Gathering { .. }) {
            return;
        }
        let (body, due) = (body(), |id: &Digest| self.turn.lacks(id));
        let id = body.id();
        if due(&id) && self.store.get(&id).is_none() {
            self.store.keep(id, body);
        }
    }

    /// A member of another group says how many statements took effect there.
    pub(super) fn on_ack(
        &mut self,
        group: GroupId,
        from: PartyId,
        up_to: u64,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(known) = fx.seat().directory.group(group) else { return };
        let acked = self.hearing.ack(group, from, up_to, known.thresholds.one_correct());
        if acked > self.state.groups.acked(group) {
            self.feed.ack(group, acked);
        }
    }

    pub(super) fn arm_ack(&mut self, fx: &mut Effects<'_, Self>) {
        if !self.ack_armed {
            self.ack_armed = true;
            fx.arm(Timer::Ack, ACK_AFTER);
        }
    }

    /// Acknowledges what was heard to the groups that were not told since.
    pub(super) fn send_acks(&mut self, fx: &mut Effects<'_, Self>) {
        self.ack_armed = false;
        let groups: Vec<GroupId> = self.state.groups.ids().collect();
        for group in groups {
            let up_to = self.state.groups.heard(group);
            if up_to > self.acks_sent.get(&group).copied().unwrap_or(0) {
                self.acks_sent.insert(group, up_to);
                fx.send_to(To::Group(group), Message::Ack { up_to });
            }
        }
    }

    /// Sets the alarm to say again what is not acknowledged, if there is something.
    pub(super) fn arm_resend(&mut self, fx: &mut Effects<'_, Self>) {
        if self.told.is_some() {
            return;
        }
        let open = |group: &GroupId| self.lacking(*group, fx).next().is_some();
        let told: BTreeMap<GroupId, u64> = self
            .state
            .groups
            .ids()
            .filter(open)
            .map(|group| (group, self.state.groups.told(group)))
            .collect();
        if !told.is_empty() {
            self.told = Some(told);
            fx.arm(Timer::Resend, RESEND_AFTER);
        }
    }

    /// Says again what had been told when the alarm was set and that no correct member acknowledged.
    pub(super) fn resend(&mut self, fx: &mut Effects<'_, Self>) {
        for (group, told) in self.told.take().unwrap_or_default() {
            self.say_again(group, told, fx);
        }
        self.arm_resend(fx);
    }

    /// Says again what `group` may lack, up to the statement with this number.
    pub(super) fn say_again(&mut self, group: GroupId, told: u64, fx: &mut Effects<'_, Self>) {
        let lacking = self.lacking(group, fx).take(RESEND_MAX);
        for statement in lacking.filter(|statement| statement.number <= told) {
            fx.send_to(To::Group(group), Message::Statement(statement.clone()));
        }
    }

    /// What no correct member of `group` is known to have: neither did the group order that it has,
    /// nor did enough of its members tell this one. An idle group orders no acknowledgements, so the
    /// latter must count, or it would wake up for ever.
    fn lacking<'a>(
        &'a self,
        group: GroupId,
        fx: &Effects<'_, Self>,
    ) -> impl Iterator<Item = &'a Statement> + use<'a, S, A> {
        let needed = fx.seat().directory.group(group).map(|known| known.thresholds.one_correct());
        needed.into_iter().flat_map(move |needed| {
            let heard = self.hearing.acked(group, needed);
            self.state.groups.outbox(group, heard.max(self.state.groups.acked(group)))
        })
    }

    /// A member's ballot is counted: fetches the requests in it that this member lacks.
    pub(super) fn on_ballot(&mut self, from: PartyId, ballot: &Ballot, fx: &mut Effects<'_, Self>) {
        if from == fx.seat().me() {
            return self.on_own_ballot(from, ballot);
        }
        if !ballot.requests.is_empty() {
            self.rota.voted(from);
        }
        let vouches = &self.state.vouches;
        let lacking: Vec<Digest> = ballot
            .requests
            .iter()
            .filter(|id| vouches.stands(from, id) && self.store.get(id).is_none())
            .copied()
            .collect();
        for ids in lacking.chunks(FETCH_MAX) {
            fx.send(from, Message::Fetch { ids: ids.to_vec() });
        }
    }

    /// An own ballot is counted: what this member vouches for now shows in the state.
    fn on_own_ballot(&mut self, me: PartyId, ballot: &Ballot) {
        self.feed.counted(ballot.number);
        for id in ballot.requests.iter().chain(&ballot.statements) {
            // It took effect so long ago that the state does not remember.
            let idle = !self.state.is_open(self.store.get(id));
            if idle && self.state.vouches.stands(me, id) {
                self.feed.withdraw(*id);
            }
            self.let_go(me, id);
        }
        ballot.withdrawn.iter().for_each(|id| self.let_go(me, id));
    }

    /// Lets go of a body, unless this member vouches for it or may do so in a ballot on its way. This
    /// is the only way on which a body of a vouch is lost, but for those that took effect.
    pub(super) fn let_go(&mut self, me: PartyId, id: &Digest) {
        let vouches = &self.state.vouches;
        if vouches.stands(me, id) || self.feed.has(id) {
            return;
        }
        if vouches.took_effect(id) {
            self.store.finish(*id, self.state.slot);
        } else {
            self.store.forget(id);
        }
    }

    /// A member lacks bodies that this one vouched for.
    pub(super) fn on_fetch(&self, from: PartyId, ids: &[Digest], fx: &mut Effects<'_, Self>) {
        for body in ids.iter().filter_map(|id| self.store.get(id)) {
            fx.send(from, Message::Body(body.clone()));
        }
    }

    /// A body came from a member. What is due was vouched for; anything else must be a request that
    /// this member finds genuine itself.
    pub(super) fn on_body(&mut self, body: Body, fx: &mut Effects<'_, Self>) {
        let id = body.id();
        if self.store.get(&id).is_some() {
            return;
        }
        if self.turn.lacks(&id) {
            return self.store.keep(id, body);
        }
        let Body::Request(request) = body else { return };
        if self.state.clients.is_open(&request) && request.is_genuine(fx.seat()) {
            // Without room it stays with those who have some.
            let _stored = self.try_vouch(request, fx);
        }
    }
}

impl Turn {
    /// Whether this id is due, here and now.
    fn lacks(&self, id: &Digest) -> bool {
        let Self::Gathering { due, .. } = self else { return false };
        due.iter().any(|due| matches!(due, super::state::Due::Body { id: of, .. } if of == id))
    }
}
