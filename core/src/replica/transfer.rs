//! Checkpoints, and loading the state of another replica.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    fetching::Target,
    machine::{Ask, Output, Replica, Stream, Timer},
    message::{Ballot, Body, Message},
    pages::{self, Pages},
    service::Service,
    state::{Saved, Turn},
    turn::CREDIT,
};
use crate::{
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::{GroupId, PartyId, Slot},
    protocol::Protocol,
    stream::atomic::{Input as Order, Position},
    stream::batch::Batch,
    thresholds::Thresholds,
    time::Span,
    wire,
};

/// How long a piece of a state may take before another member is asked.
pub(super) const TRANSFER_AFTER: Span = Span::millis(1_000);

/// After so many alarms at which nothing of a state had come, another one is looked for. Until then
/// `f` members that stall have been left for others.
const TARGET_TRIES: u32 = 3;

/// After so many alarms without a state to fetch the search ends: that the group went on was a hint,
/// and it may have been a liar's. The next stable checkpoint beyond reach begins another.
pub(super) const TRIES_MAX: u32 = 8;

/// A search for the state of the group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Transfer {
    /// How often the alarm found nothing new.
    tries: u32,
    target: Option<Target>,
    /// How many alarms the target has seen without anything that came.
    idle: u32,
}

/// How many must hold a state that this member loads: `2f + 1` if they can be found, so that the
/// rounds below it can end without this member; with `f` silent ones only `2f` others are left.
fn holders_needed(thresholds: Thresholds, tries: u32) -> usize {
    let most = thresholds.most_correct();
    let fewest = (most - 1).max(thresholds.one_correct());
    if tries < 2 { most } else { fewest }
}

impl<S: Service, A: Stream> Replica<S, A> {
    /// A round is over: a checkpoint may be due. All replicas pass through the slot of a checkpoint,
    /// but if rounds were empty not through the same rounds; the state knows slots only.
    pub(super) fn on_round_end(&mut self, position: Position, fx: &mut Effects<'_, Self>) {
        if position.slot < self.state.checkpointed.plus(self.interval) {
            return;
        }
        if let Some(ask) = self.state.service.remember() {
            self.turn = Turn::Surveying { position };
            return self.ask_helper(ask, fx);
        }
        self.checkpoint(position, None, fx);
    }

    /// Keeps the state and tells the others its digest.
    pub(super) fn checkpoint(
        &mut self,
        position: Position,
        helper: Option<<S::Helper as Protocol>::Output>,
        fx: &mut Effects<'_, Self>,
    ) {
        self.state.checkpointed = position.slot;
        let bytes = wire::encode(&(&self.state, &helper));
        let pages = Pages::new(bytes);
        let own = Checkpoint { position, size: pages.size(), digest: pages.name() };
        self.checkpoints.keep(own.clone(), pages);
        fx.broadcast(Message::Checkpoint(own));
        self.sweep(fx);
    }

    /// Lets go of the bodies that this member no longer vouches for.
    fn sweep(&mut self, fx: &Effects<'_, Self>) {
        let open: Vec<Digest> = self.store.open().map(|(id, _)| *id).collect();
        open.iter().for_each(|id| self.let_go(fx.seat().me(), id));
    }

    /// A member says what state it holds.
    pub(super) fn on_checkpoint(
        &mut self,
        from: PartyId,
        said: Checkpoint,
        fx: &mut Effects<'_, Self>,
    ) {
        let (me, most) = (fx.seat().me(), fx.seat().thresholds().most_correct());
        let news = self.checkpoints.hear(from, said, most);
        if let Some(stable) = self.checkpoints.stable().cloned() {
            for (member, held) in &news.diverged {
                if *member != me {
                    fx.accuse(*member, Fault::Diverged { held: *held, agreed: stable.digest });
                }
            }
            let slot = stable.position.slot;
            if news.stable.is_some() {
                self.on_stable(stable, fx);
            }
            if news.diverged.iter().any(|(member, _)| *member == me) {
                fx.output(Output::Diverged { slot });
                self.seek(fx);
            }
        }
        self.try_target(fx);
    }

    fn on_stable(&mut self, stable: Checkpoint, fx: &mut Effects<'_, Self>) {
        let Checkpoint { position, digest, .. } = stable;
        // Who is a little slower still asks for bodies of the interval before, and this member may
        // be waiting to let in what is due at its slot.
        let before = Slot::new(position.slot.number().saturating_sub(self.interval));
        self.store.trim(before.min(self.state.slot));
        if self.state.slot >= position.slot {
            self.log.trim(position.slot);
        } else if position.slot > self.state.slot.plus(CREDIT + self.interval) {
            self.become_behind(fx);
        }
        fx.output(Output::Stable { position, digest });
    }

    /// The group went on without this member.
    pub(super) fn become_behind(&mut self, fx: &mut Effects<'_, Self>) {
        if self.transfer.is_none() {
            fx.output(Output::Behind);
            self.seek(fx);
        }
    }

    fn seek(&mut self, fx: &mut Effects<'_, Self>) {
        if self.transfer.is_none() {
            self.transfer = Some(Transfer::default());
            Self::ask_for_states(fx);
            self.try_target(fx);
        }
    }

    fn ask_for_states(fx: &mut Effects<'_, Self>) {
        fx.broadcast(Message::StateRequest);
        fx.arm(Timer::Transfer, TRANSFER_AFTER);
    }

    /// A member looks for a state.
    pub(super) fn on_state_request(&self, from: PartyId, fx: &mut Effects<'_, Self>) {
        if from != fx.seat().me() {
            self.checkpoints.own().for_each(|own| fx.send(from, Message::Checkpoint(own.clone())));
        }
    }

    /// Whether the state would be news: it is ahead, or it is what ours should have been; and nothing
    /// is missing between it and what the stream delivers next.
    fn wants(&self, offered: &Checkpoint) -> bool {
        let slot = offered.position.slot;
        let ahead = slot > self.state.slot;
        let other = self.checkpoints.own_at(slot).is_some_and(|own| own != offered.digest);
        let small = pages::count(offered.size) <= pages::PAGES_MAX as u64;
        (ahead || other) && small && self.log.reaches(slot)
    }

    fn try_target(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(transfer) = &self.transfer else { return };
        let needed = holders_needed(fx.seat().thresholds(), transfer.tries);
        if transfer.target.is_some() {
            return;
        }
        let best = self.checkpoints.best(needed, |offered| self.wants(offered));
        let Some((checkpoint, mut holders)) = best else { return };
        holders.retain(|holder| *holder != fx.seat().me());
        if let Some(transfer) = &mut self.transfer {
            (transfer.target, transfer.idle) = (Some(Target::new(checkpoint, holders)), 0);
        }
        self.ask_for_pieces(fx);
    }

    fn ask_for_pieces(&mut self, fx: &mut Effects<'_, Self>) {
        let target = self.transfer.as_mut().and_then(|transfer| transfer.target.as_mut());
        let asks = target.map(Target::ask).unwrap_or_default();
        asks.into_iter().for_each(|(helper, ask)| fx.send(helper, ask));
    }

    /// A member wants to know the pieces of a state of this one.
    pub(super) fn on_list_request(
        &self,
        from: PartyId,
        digest: Digest,
        fx: &mut Effects<'_, Self>,
    ) {
        if let Some(state) = self.checkpoints.pages(&digest) {
            fx.send(from, Message::List { digest, pieces: state.list().to_vec() });
        }
    }

    /// A member fetches the state of this one.
    pub(super) fn on_chunk_request(
        &self,
        from: PartyId,
        digest: Digest,
        place: u32,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(state) = self.checkpoints.pages(&digest) else { return };
        if let Some(bytes) = state.piece(place) {
            fx.send(from, Message::Chunk { digest, place, bytes });
        }
    }

    /// The list of the pieces of the state came.
    pub(super) fn on_list(
        &mut self,
        from: PartyId,
        digest: Digest,
        pieces: Vec<Digest>,
        fx: &mut Effects<'_, Self>,
    ) {
        let target = self.transfer.as_mut().and_then(|transfer| transfer.target.as_mut());
        let taken = target.map_or(Ok(()), |target| target.take_list(from, digest, pieces));
        self.go_on_fetching(from, taken, fx);
    }

    /// A piece of the state came.
    pub(super) fn on_chunk(
        &mut self,
        from: PartyId,
        digest: Digest,
        place: u32,
        bytes: &Bytes,
        fx: &mut Effects<'_, Self>,
    ) {
        let target = self.transfer.as_mut().and_then(|transfer| transfer.target.as_mut());
        let taken = target.map_or(Ok(()), |target| target.take_piece(from, digest, place, bytes));
        self.go_on_fetching(from, taken, fx);
    }

    /// Names a liar, and asks for more.
    fn go_on_fetching(
        &mut self,
        from: PartyId,
        taken: Result<(), Fault>,
        fx: &mut Effects<'_, Self>,
    ) {
        if let Err(fault) = taken {
            fx.accuse(from, fault);
        }
        if let Some(transfer) = &mut self.transfer {
            transfer.target.take_if(|target| target.is_lost());
        }
        self.try_target(fx);
        self.ask_for_pieces(fx);
    }

    /// The alarm of the search: asks another member, or looks for another state.
    pub(super) fn transfer_again(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(transfer) = &mut self.transfer else { return };
        transfer.tries += 1;
        if let Some(target) = &mut transfer.target {
            transfer.idle = if target.alarm() { 0 } else { transfer.idle + 1 };
            // All were asked: perhaps nobody keeps this state any more.
            if transfer.idle > TARGET_TRIES {
                transfer.target = None;
            }
        }
        if transfer.target.is_none() && transfer.tries > TRIES_MAX {
            self.transfer = None;
            return;
        }
        Self::ask_for_states(fx);
        self.try_target(fx);
        self.ask_for_pieces(fx);
    }

    /// Loads the state that was fetched, between two turns.
    pub(super) fn try_load(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        let between = matches!(self.turn, Turn::Idle | Turn::Gathering { .. });
        let target = self.transfer.as_ref().and_then(|transfer| transfer.target.as_ref());
        if !between || !target.is_some_and(Target::is_whole) {
            return false;
        }
        let target = self.transfer.take().and_then(|transfer| transfer.target);
        let (checkpoint, bytes) = target.expect("it is whole").into_state();
        fx.disarm(Timer::Transfer);
        if !self.wants(&checkpoint) {
            return false;
        }
        let (state, helper): Saved<S> = match wire::decode_own(&bytes) {
            Ok(saved) => saved,
            // Enough members hold what this one cannot read: it is of another version, and useless.
            Err(_) => return false,
        };
        self.state = state;
        self.turn = Turn::Idle;
        let position = checkpoint.position.clone();
        self.checkpoints.replace(checkpoint, Pages::new(bytes.into()));
        self.resume(position, fx);
        if let Some(ask) = self.state.service.remind(helper) {
            self.turn = Turn::Reminding;
            self.ask_helper(ask, fx);
        }
        true
    }

    /// Goes on from a state that was loaded.
    fn resume(&mut self, position: Position, fx: &mut Effects<'_, Self>) {
        self.log.rewind(position.slot);
        let me = fx.seat().me();
        self.feed.counted(self.state.counted.get(&me).copied().unwrap_or(0));
        fx.ask(Ask::Stream(Order::Resume { position: position.clone() }));
        self.granted = Slot::FIRST;
        let groups: Vec<GroupId> = self.state.groups.ids().collect();
        for group in groups {
            self.hearing.forget(group, self.state.groups.heard(group));
            self.say_again(group, u64::MAX, fx);
        }
        self.vouch_again(fx);
        self.sweep(fx);
        self.ticking = None;
        self.arm_tick(fx);
        self.arm_resend(fx);
        fx.output(Output::CaughtUp { position });
    }

    /// Nobody knows whether these own ballots were ordered. If they were, it was below the state that
    /// was loaded, and shows in it; else what they say is said again.
    pub(super) fn on_unsure(&mut self, batch: &Batch, fx: &Effects<'_, Self>) {
        let ballots = batch.iter().filter_map(|payload| Ballot::read(&payload).ok());
        ballots.for_each(|ballot| self.feed.release(&ballot));
        self.vouch_again(fx);
    }

    /// Vouches for what may still take effect: nobody knows whether the vouches in the rounds that
    /// were jumped over were ordered. A vouch too many changes nothing.
    fn vouch_again(&mut self, fx: &Effects<'_, Self>) {
        let (me, state) = (fx.seat().me(), &self.state);
        for (id, body) in self.store.open() {
            if !state.may_vouch(me, id, Some(body)) {
                continue;
            }
            match body {
                Body::Request(request) => self.feed.request(*id, request.client),
                Body::Statement(..) => self.feed.statement(*id),
            }
        }
    }
}
