//! What a session asks: strands, and the requests in which their commands travel.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Open, Session, Timer};
use crate::{
    effects::{Effects, To},
    replica::{
        clients::WINDOW,
        message::{Asked, COMMANDS_MAX, Message, Request},
        number::Number,
    },
    seat::Owner,
    time::Span,
    wire::limits,
};

/// The most requests under way to none of whose commands anybody replied. What is asked meanwhile
/// shares the next one: so one user alone never waits, and many share the cost of ordering.
const UNDER_WAY_MAX: usize = 2;

/// How long a command waits for company at most. All that is under way may wait for a lock.
const HURRY_AFTER: Span = Span::millis(2);

/// By what the pause between two tries grows at most.
const BACKOFF_MAX: u32 = 16;

/// An order of commands of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Strand {
    /// How many commands were said.
    said: u32,
    queue: VecDeque<(u64, Bytes)>,
    /// What was said and is not answered.
    pub(super) open: BTreeMap<u32, Open>,
    /// Whether it waits for its turn.
    ready: bool,
}

impl Strand {
    /// Whether its next command fits into the window.
    fn may_say(&self) -> bool {
        let oldest = self.open.first_key_value().map_or(self.said + 1, |(count, _)| *count);
        !self.queue.is_empty() && self.said + 1 < oldest + WINDOW
    }

    /// The numbers of the inputs that were not said.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u64> {
        self.queue.iter().map(|(number, _)| *number)
    }

    /// The numbers of the inputs that are not answered.
    pub(super) fn into_numbers(self) -> impl Iterator<Item = u64> {
        let open = self.open.into_values().map(|open| open.number);
        open.chain(self.queue.into_iter().map(|(number, _)| number))
    }
}

/// A request that was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bundle {
    request: Request,
    /// How many of its commands are not answered.
    open: usize,
    /// Whether others need not wait for it any more.
    heard: bool,
    /// How often the alarm came since it was said.
    age: u32,
}

/// The requests that were said, and who is next to say something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bundles {
    said: u64,
    open: BTreeMap<u64, Bundle>,
    /// How many of them others wait for.
    under_way: usize,
    /// The strands that may say something, in turn.
    ready: VecDeque<u16>,
    /// How many inputs wait on all strands.
    waiting: usize,
    hurrying: bool,
    /// How many commands were answered whose users have not asked since: they may do so at once.
    expected: usize,
}

impl Bundles {
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing is unanswered.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What waits, if anything does, is to wait no longer.
    pub(super) fn hurry(&mut self) {
        self.hurrying = false;
        self.expected = 0;
        if self.ready.is_empty() {
            return;
        }
        self.under_way = 0;
        self.open.values_mut().for_each(|bundle| bundle.heard = true);
    }

    /// Whether more is about to be asked: those who are answered together ask again one after another,
    /// and what the first of them asks is not worth a request of its own.
    pub(super) fn expects_more(&self) -> bool {
        self.expected > 0 && self.ready.len() < COMMANDS_MAX
    }

    /// Whoever was answered has had the time to ask again.
    pub(super) fn expect_no_more(&mut self) {
        self.expected = 0;
    }

    /// One command of a request is answered.
    pub(super) fn answered(&mut self, bundle: u64) {
        self.expected += 1;
        let Some(said) = self.open.get_mut(&bundle) else { return };
        if !std::mem::replace(&mut said.heard, true) {
            self.under_way -= 1;
        }
        said.open -= 1;
        if said.open == 0 {
            self.open.remove(&bundle);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self { said: self.said, hurrying: self.hurrying, ..Self::default() };
    }
}

/// Whether to try again when the alarm came so often before.
pub(super) fn is_due(age: u32) -> bool {
    age.is_power_of_two() && age < BACKOFF_MAX || age > 0 && age.is_multiple_of(BACKOFF_MAX)
}

impl Session {
    pub(super) fn enqueue(&mut self, strand: u16, number: u64, body: Bytes) {
        self.strands.entry(strand).or_default().queue.push_back((number, body));
        self.bundles.waiting += 1;
        self.bundles.expected = self.bundles.expected.saturating_sub(1);
        self.make_ready(strand);
    }

    /// Puts a strand that may say something into the row.
    pub(super) fn make_ready(&mut self, strand: u16) {
        let Some(it) = self.strands.get_mut(&strand) else { return };
        if it.may_say() && !std::mem::replace(&mut it.ready, true) {
            self.bundles.ready.push_back(strand);
        }
    }

    /// Says what may be said, unless it is to `wait` for company. Before the era is known nothing may.
    pub(super) fn try_say(&mut self, wait: bool, fx: &mut Effects<'_, Self>) {
        let Some(era) = self.era.known() else { return self.ask_era(fx) };
        while !wait && self.bundles.under_way < UNDER_WAY_MAX && !self.bundles.ready.is_empty() {
            self.say(era, fx);
        }
        let waits = !self.bundles.ready.is_empty();
        if waits && !std::mem::replace(&mut self.bundles.hurrying, true) {
            fx.arm(Timer::Hurry, HURRY_AFTER);
        }
    }

    /// Says one command of each strand in turn, until the request is full.
    fn say(&mut self, era: u64, fx: &mut Effects<'_, Self>) {
        let Owner::Client(client) = fx.seat().owner else {
            panic!("{} is a client's session", fx.seat().id)
        };
        self.bundles.said += 1;
        let bundle = self.bundles.said;
        let (mut commands, mut size) = (Vec::new(), 0);
        while commands.len() < COMMANDS_MAX
            && let Some(strand) = self.bundles.ready.pop_front()
        {
            let it = self.strands.get_mut(&strand).expect("it has something to say");
            let next = it.queue.front().map_or(0, |(_, body)| body.len());
            if !commands.is_empty() && size + next > limits::PAYLOAD_MAX {
                self.bundles.ready.push_front(strand);
                break;
            }
            it.ready = false;
            let (number, body) = it.queue.pop_front().expect("it has something to say");
            it.said += 1;
            it.open.insert(it.said, Open::new(number, bundle));
            size += body.len();
            let number = Number::new(self.spec.session, it.said).on(strand).of_era(era);
            commands.push(Asked { number, body });
            self.bundles.waiting -= 1;
            self.make_ready(strand);
        }
        let open = commands.len();
        let request = Request::sealed(fx.seat(), client, commands);
        fx.send_to(To::Everyone, Message::Request(request.clone()));
        self.bundles.under_way += 1;
        self.bundles.open.insert(bundle, Bundle { request, open, heard: false, age: 0 });
    }

    /// Says again what is unanswered since the last alarm, at growing distances.
    pub(super) fn on_retry(&mut self, fx: &mut Effects<'_, Self>) {
        self.alarms.retry = false;
        self.ask_era_again(fx);
        for bundle in self.bundles.open.values_mut() {
            let due = is_due(bundle.age);
            bundle.age += 1;
            if due {
                fx.send_to(To::Everyone, Message::Request(bundle.request.clone()));
            }
        }
    }
}
