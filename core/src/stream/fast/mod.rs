//! The fast atomic stream: a leader orders in three delays with authenticators only; when it does not,
//! its epoch is closed by a stream that needs no clock.
//!
//! # Reference
//! Kursawe, Shoup, *Optimistic asynchronous atomic broadcast*, ICALP 2005: a leader binds, two rounds
//! of binds, recovery by agreement. Castro, Liskov, *Practical Byzantine fault tolerance and proactive
//! recovery*, TOCS 2002, section 5: what can be concluded from view changes when binds carry
//! authenticators and no signatures. Lanes: Danezis, Kokoris Kogias, Sonnino, Spiegelman, *Narwhal and
//! Tusk*, `EuroSys` 2022, here without certificates.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`. A clock, if there is one, only makes
//! a member give up on a leader sooner: with one that is late, however much, or runs wild the stream is
//! as safe, and live. A group without payloads says nothing.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | batch -> cut | the leader alone, or `n - f` if its lane is doubted | see below |
//! | batch from others -> bind | `f + 1` first binds | a correct member has it from its owner |
//! | first binds -> second | `n - f` | two such sets share a correct member, who binds once a place |
//! | second binds -> delivered | `n - f` | any `n - f` states hold one of a correct one among them |
//! | left -> leaves | `f + 1` | one of them is correct |
//! | states -> outcome | as many as resolve it, `n - f` at least | see below |
//! | told -> delivered | `f + 1` | one of them is correct |
//!
//! # Properties
//! Those of [`atomic`], with the same inputs, outputs and [`Position`]s, but that a
//! payload's fate is always known: a position says how far each lane is ordered.
//!
//! *Lanes.* Each member numbers its batches and sends them to everybody. Their names are chained, so one
//! [`Head`] names a prefix. Members say how far they store the lanes of others.
//!
//! *Cuts.* The leader of an epoch names heads; that is an [`Item`], and it leads to the next *place*. It
//! names what it stores itself, so that a batch is ordered four delays after it is sent, its own after
//! three. It binds itself in the step in which it cuts, so its cut is its first bind: what is said here
//! of those who said one holds for it. While cuts are under way the next one waits until it is worth its
//! binds, so that a busy group says few. The more members send, the smaller is what each has under way:
//! every member takes what all send, so queues, and with them rounds, are as long in every group.
//!
//! *Binds.* Who leaves an epoch while the next cut names batches that did not come *doubts* their lanes:
//! as a leader it names of those only what `n - f` members store, so that `f + 1` correct members have it
//! from its owner and all can bind. The doubt lasts for 1,024 items, and twice as long each time. A
//! member says the first bind for one item a place, after it bound itself to the place before, when it
//! stores what is named. The chain of items is what is bound, so a bind is one to the whole path. With
//! `n - f` first binds it says the second one; with `n - f` second binds the item is delivered.
//!
//! *Cuts that wait.* Some users make use of a payload only when `f + 1` are ordered: a replica does of
//! the vouches for a request. With [`Spec::together`] a leader waits until it has so many, some of others
//! among them and those counted that it has cut beyond the last whole set, and sends its own batches with
//! the cut: one cut orders what had taken two, and no later. When to cut and when to send is any member's
//! choice, and nothing is concluded from it. The wait ends when anybody, the owner of a waiting batch
//! among them, has waited for a millisecond and says so; whoever sends batches out of turn costs others as
//! much. Without a clock no leader waits.
//!
//! *Leaving.* A member that waits gives signs of life, each after `n - f` members gave the one before:
//! rounds that need no clock. With a clock each waits first, for a millisecond or for as long as the group
//! takes for an item, up to a bound, so that a group that goes on gives none; it is enough that an alarm
//! comes at all, however late. After so many rounds ([`Spec::patience`]) without anything delivered, or
//! with its own lane passed over, it leaves: it binds no more, and submits its `State` to an [`Atomic`]
//! stream below. Its claims there are signed. Once its clock says that a span has passed with nothing
//! delivered, 16 rounds are enough; 256, items counted in, if only its own batches of then still wait: a
//! leader that orders just enough to be borne is left as one that orders nothing.
//!
//! *Nobody leaves a leader because all are busy.* Signs travel with the payloads, behind all that their
//! senders sent before. A leader that is correct orders what it has once `n - f` members answered twice;
//! it is left only if that takes longer than 16 times in which `n - f` members emptied their queues to
//! each other. A clock that runs wild takes away no more than the rest of the rounds, and one that is
//! late nothing: safety rests on neither, and rounds come as long as `n - f` correct members wait.
//!
//! *Closing.* All members see the same states in the same order. The first ones that *resolve* the
//! epoch give its outcome. From the highest place that `f + 1` say to have delivered, it is the longest
//! path that `f + 1` went, on which at each place `n - f` members (whose states speak of it) did not
//! prepare anything else, and after which `n - f` prepared nothing. One more item orders what `f + 1`
//! members store of each lane. Then the next member leads.
//!
//! *An outcome agrees with what was delivered.* Let a correct member have delivered `d` at a place `c`
//! above the base: `n - f` members said the second bind for it, and any `n - f` states hold that of a
//! correct one `m` among them, if they speak of `c`: `m` prepared `d` before it left. If the path
//! is longer than `c`, `n - f` states allow its chain at `c`; `m` allows none but `d`. If it ends
//! before `c`, the member had also delivered something right after the end, since it delivers in order;
//! but `n - f` states say that nothing was prepared there. The base itself was delivered by a correct
//! member, and two chains cannot both be delivered at a place.
//!
//! *Every epoch that `f + 1` leave is closed.* All correct members leave then. What a member says of it
//! begins at its *base*: a place that `n - f` told it to have delivered before they left, or the place a
//! window below what it delivered. In the second case `n - f` had bound themselves to what it delivered,
//! each within a window of its own base; so for the highest base `b` of all correct members the first case
//! holds for one of them, and `f + 1` correct members had delivered `b` before they left. Their states
//! reach down to `b`, so it is vouched for. Let `t` be the highest place that a correct member prepared.
//! `n - f` had bound themselves to it, `f + 1` of them correct: they went the whole path. What a correct
//! member prepared on the way is on that path, because two sets of `n - f` share a correct member that
//! bound itself to both. And beyond `t` no correct member prepared anything. So these states resolve the
//! epoch, and more states only add to each count.
//!
//! *Who goes on from a checkpoint* ([`Input::Resume`]) takes no part in that epoch, for its way has a gap.
//! One that was in it leaves, with all that it did before the jump. One that comes to it says that it
//! prepared nothing in it, wherever it came, so that it is in nobody's way; others do not raise their bases
//! by what it says. Anything is delivered in the epoch only by `n - f` who were there, `f + 1` correct ones
//! with the whole way among them; if nothing is, all correct members say where the epoch began. As soon as
//! `f + 1` stay out the epoch is closed, so a group of which many came by checkpoints is whole again. While
//! fewer do, it goes at the pace of the others, and is closed when that is none.
//! `resolve/tests.rs` searches all epochs of four members with one place and with two, one that came by a
//! checkpoint among them.
//!
//! *Progress.* What all correct members store when they leave is stored in `n - 2f >= f + 1` of any
//! `n - f` states, so the last item of the epoch orders it: even if every leader fails, or every clock
//! runs wild, each epoch orders what was sent around before it.
//!
//! *What a liar can end.* As an owner that shows a batch to few, the leader among them, it ends an epoch,
//! and is doubted then; shown to others it makes nobody wait: a lane is waited for when `f + 1` members
//! other than its owner store it. If it complains that it is passed over, the
//! patience of the others with it doubles each time. As a leader it stays until patience ends, and comes
//! again after all others.
//!
//! *Who gives members different batches* is accused by each that stores another one than is ordered, and
//! by each that hears of others from `f + 1`: nothing is signed, so no member can prove it alone. A member
//! that holds another batch than the one a cut names asks for that at once, since it will not come from
//! the owner; one that knows of the lie doubts the lane. A correct owner is never doubted so: one of `f + 1`
//! who deny what it sent is correct, and so is one of those who bound themselves to what is ordered.
//!
//! *Who is slow* may have no room for what others send ahead of it, and has it sent again once it has;
//! for nothing that comes later need show that it is missing, and a leader that passes that lane over
//! would be borne by all who have not seen it. Whoever comes to a place at which another one waits says
//! what it stores, even if that one had said that it waits before; and who knows that `f + 1` are ahead
//! waits, though it lacks nothing that it knows of; so does who knows that `f + 1` bound themselves further
//! on, to what it never saw or had no room for.
//!
//! *Who is behind* is told items by `f + 1`, and gets the batches from them; beyond what is kept it says
//! [`Output::Behind`]. So it does when the stream below is behind beyond what is kept there: its rounds
//! of an epoch are few, so a member that starves through some epochs still finds them.
//!
//! *Rounds below are begun together* ([`Begin::Together`]): a group that leaves no epoch has none,
//! whatever a liar announces. Only states are submitted there. While `f` correct members or fewer have
//! left, nothing need come of it. Once `f + 1` have, all correct members leave, so all of them submit a
//! state, and each state of a correct one is ordered: that is the case for which the stream below
//! promises it. A member that is late may have states of closed epochs queued, and leave when others
//! have gone along with it for those. But it says that it leaves, and who has left before submits
//! again, an empty batch, with each that follows: from then on the others go along with all that it has
//! queued. If its state is not needed any more, it is ordered with those of the next epoch, or alone.
//! So in an epoch a liar can make a few rounds for each member that leaves it, and no more.
//!
//! # Deviations
//! Recovery is one atomic stream below, whose order fixes which states count, instead of a second
//! protocol of agreements. Signs of life, and what members store, ride on binds.

mod again;
mod catch_up;
mod closing;
mod cuts;
mod heads;
mod item;
mod lacking;
mod lanes;
mod leading;
mod leaving;
mod message;
mod own;
mod patience;
mod recall;
mod resolve;

pub use again::Again;
pub use item::{Head, Item};
pub use message::{Life, Message, Phase};
use serde::{Deserialize, Serialize};

use self::{
    catch_up::CatchUp,
    closing::{Closing, Heard as States},
    cuts::Cuts,
    lanes::Lanes,
    own::Own,
    patience::{BELOW, Patience},
};
use super::{
    atomic::{self, Atomic, Begin, Input, Output, Position},
    batch::Batch,
    delivery::Delivery,
};
use crate::{
    children::Children,
    crypto::Digest,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer, Round, Slot},
    path::Segment,
    protocol::{Early, Event, Kind, Protocol},
    seat::Seat,
    time::Span,
};

#[cfg(any(test, feature = "sim"))]
pub(super) fn contents(take: &mut impl super::contents::Contents) {
    take.content::<item::Memo>();
    take.content::<resolve::State>();
}

/// What makes two fast streams differ. It need not be the same at every member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// How many items are kept for those who are behind. At least two are.
    pub items_kept: u64,
    /// How many bytes of ordered batches are kept for those who are behind.
    pub bytes_kept: usize,
    /// How many bytes of ordered batches wait for the user's credit. Beyond it the user has lagged.
    pub lag_max: usize,
    /// After how many rounds of signs of life without progress a member leaves an epoch.
    pub patience: u64,
    /// After how long without progress, by its clock, 16 rounds are enough for that. `None`: without a
    /// clock.
    pub impatience: Option<Span>,
    /// Whether payloads are of use to the user only when `f + 1` of them are ordered.
    pub together: bool,
}

impl Default for Spec {
    /// 1,024 items, 64 MiB of ordered batches, 64 MiB of lag; 2,048 rounds, which take longer than any
    /// pause of a leader that is worth waiting for; a fifth of a second.
    fn default() -> Self {
        Self {
            items_kept: 1_024,
            bytes_kept: 64 << 20,
            lag_max: 64 << 20,
            patience: 2_048,
            impatience: Some(Span::millis(200)),
            together: false,
        }
    }
}

/// How many rounds of the stream below are kept. Nearly all are empty, and few: a member that starves
/// through an epoch is to find all of them.
const ROUNDS_KEPT: u64 = 1_024;

/// Why a member wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timer {
    /// It may have waited long enough for the leader.
    Leave,
    /// It may have waited long enough to say that it waits.
    Pulse,
}

/// What is asked of the children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// The stream of states.
    Below(Input),
}

/// What the children tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Heard {
    /// The stream of states.
    Below(Output),
}

/// One fast stream at one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fast {
    spec: Spec,
    /// How many items are delivered.
    place: Round,
    /// The slot of the payload that comes next.
    slot: Slot,
    chain: Digest,
    epoch: u64,
    /// Where the stream below was when the epoch began.
    below: Position,
    own: Own,
    lanes: Lanes,
    cuts: Cuts,
    patience: Patience,
    heard: States,
    closing: Option<Closing>,
    catch_up: CatchUp,
    delivery: Delivery,
}

impl Protocol for Fast {
    const KIND: Kind = Kind("fast");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Timer;
    type Ask = Ask;
    type Heard = Heard;

    fn new(seat: &Seat, spec: Spec) -> Self {
        let Position { round: place, slot, chain, .. } = Position::default();
        Self {
            spec,
            place,
            slot,
            chain,
            epoch: 0,
            below: Position::default(),
            own: Own::default(),
            lanes: Lanes::new(seat.thresholds().n()),
            cuts: Cuts::at(place, chain),
            patience: Patience::default(),
            heard: States::default(),
            closing: None,
            catch_up: CatchUp::default(),
            delivery: Delivery::default(),
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => fx.ask(Ask::Below(Input::Pull { up_to: Slot::new(u64::MAX) })),
            Event::Input(Input::Submit { batch }) => {
                if let Err(batch) = self.own.submit(batch) {
                    fx.output(Output::Refused { payloads: batch.len() as u64 });
                }
            }
            Event::Input(Input::Pull { up_to }) => self.delivery.pull(up_to),
            Event::Input(Input::Resume { position }) => self.on_resume(position, fx),
            Event::Heard(Heard::Below(output)) => self.on_below(output, fx),
            Event::Message { from: Peer::Member(from), message } => {
                self.on_message(from, message, fx);
            }
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Timer(timer) => self.on_timer(timer),
            Event::Missed { from } => self.on_missed(from, fx),
            Event::Behind { .. } | Event::Dropped { .. } => {}
        }
        self.advance(fx);
    }

    fn route<C: Children<Self>>(Ask::Below(input): Ask, children: &mut C) {
        let (begin, rounds_kept) = (Begin::Together, ROUNDS_KEPT);
        let spec = atomic::Spec { begin, rounds_kept, ..atomic::Spec::default() };
        children.ask::<Atomic>(BELOW.only(), spec, Some(input), |_, output| Heard::Below(output));
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        match from.member().filter(|from| seat.has(*from)) {
            Some(_) => message.check(seat),
            None => Err(Fault::Improper("not a member".into())),
        }
    }

    fn lane(message: &Message) -> Lane {
        message.lane()
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        if child == BELOW.only() { Early::Wait } else { Early::Never }
    }
}

impl Fast {
    fn on_message(&mut self, from: PartyId, message: Message, fx: &mut Effects<'_, Self>) {
        match message {
            Message::Batch { seq, batch } => self.on_batch(from, seq, batch),
            Message::Heads { life, heads } => self.on_heads(from, life, heads, fx),
            Message::Cut { place, item } => self.on_cut(from, place, item, fx),
            Message::Bind { life, phase, place, chain, heads } => {
                self.on_heads(from, life, heads, fx);
                self.on_bind(from, (phase, life.epoch), (place, chain), fx);
            }
            Message::Pulse { life } => {
                self.on_life(from, life, fx);
                self.patience.rouse(from != fx.seat().me());
                self.on_pulse(from, life.at);
            }
            Message::Leave { epoch } => self.on_leave_of(from, epoch, fx),
            Message::Recall { epoch, at, seq, back } => {
                self.on_recall(from, (epoch, at, seq), back, fx);
            }
            Message::Fetch { from: first } => self.on_fetch(from, first, fx),
            Message::Told { first, items, at } => self.on_told(from, first, items, at),
            Message::Gone { at } => self.on_gone(from, at),
            Message::WantItem { place, chain } => self.on_want_item(from, place, chain, fx),
            Message::Item { place, item } => self.on_item(place, item),
            Message::WantBatches { lane, after, to } => {
                self.on_want_batches(from, (lane, after, to), fx);
            }
            Message::Part { lane, after, to, seq, batch } => {
                self.on_part(from, (lane, after, to), seq, batch, fx);
            }
        }
    }

    /// A member has left. If this one has, too, its stream below goes along with what that one submits.
    fn on_leave_of(&mut self, from: PartyId, epoch: u64, fx: &mut Effects<'_, Self>) {
        let known = self.patience.left_by.len();
        self.on_leave(from, epoch);
        if self.patience.left && self.patience.left_by.len() > known {
            fx.ask(Ask::Below(Input::Submit { batch: Batch::default() }));
        }
    }

    /// A batch of its owner. The owner stores it, of course.
    fn on_batch(&mut self, from: PartyId, seq: u64, batch: Batch) {
        let lane = self.lanes.of_mut(from);
        if lane.take(seq, batch) {
            lane.claim(from, lane.top());
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self, fx: &mut Effects<'_, Self>) {
        loop {
            self.send_own(fx);
            self.lead(fx);
            self.bind(fx);
            self.second(fx);
            self.close(fx);
            if !self.deliver(fx) {
                break;
            }
        }
        self.say_heads(fx);
        self.wait(fx);
        self.soothe(fx);
        self.seek(fx);
        self.tell_all(fx);
        while let Some(output) = self.delivery.next() {
            fx.output(output);
        }
        if let Some(from) = self.delivery.overflow(self.spec.lag_max) {
            fx.output(Output::Lagged { from, to: self.slot });
        }
    }

    fn send_own(&mut self, fx: &mut Effects<'_, Self>) {
        if self.own.is_empty() || self.holds_own(fx) {
            return;
        }
        let senders = self.lanes.senders(fx.seat().me());
        while let Some((seq, batch)) = self.own.next(senders) {
            fx.broadcast(Message::Batch { seq, batch });
        }
    }
}
