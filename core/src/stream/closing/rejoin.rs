//! Coming back: places that others passed, for a member that its engine cannot lead there any more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Closing, Engine, Output};
use crate::{
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Round, Slot},
    seat::Seat,
    stream::atomic::{self, MEMO_BYTES_MAX, Position},
};

/// Places are kept where the round is divisible by one of these: close ones, for a group at rest or with few
/// rounds kept, and far ones, for members that hear of a question far apart in a group in a hurry.
const STEPS: [u64; 4] = [4, 32, 256, 2_048];

/// How many places of each step are kept.
const OF_EACH: u64 = 4;

/// The most places that a correct member tells.
const PLACES_MAX: usize = STEPS.len() * OF_EACH as usize;

/// How often one who asked is told of further places, unless it asks again.
const PUSHES: u8 = 8;

/// How often a member is answered until there is a further place to tell of.
const ANSWERS_MAX: u8 = 8;

/// A place between two rounds, and what a closing stream must know to go on from there. The same at every
/// correct member that passed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The place in the engine.
    pub position: Position,
    /// Who had asked for the end below it.
    pub asked: BTreeSet<PartyId>,
    /// The end, if that is below it.
    pub end: Option<Slot>,
}

/// What members say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "I am behind: which places do you know?"
    Where,
    /// "I am at this round, and passed these places."
    Places {
        /// The round.
        at: Round,
        /// The places, in their order.
        places: Vec<Place>,
    },
}

impl Message {
    /// Whether a correct member could say it.
    pub(super) fn check(&self, seat: &Seat) -> Result<(), Fault> {
        let Self::Places { at, places } = self else { return Ok(()) };
        let fits = |place: &Place| {
            place.position.round <= *at
                && place.position.memo.len() <= MEMO_BYTES_MAX
                && place.asked.iter().all(|party| seat.has(*party))
        };
        let rising = places.is_sorted_by(|one, next| one.position.round < next.position.round);
        if places.len() <= PLACES_MAX && rising && places.iter().all(fits) {
            Ok(())
        } else {
            Err(Fault::Improper("places that nobody passes".into()))
        }
    }

    /// A question waits behind nothing.
    pub(super) const fn lane(&self) -> Lane {
        match self {
            Self::Where => Lane::Control,
            Self::Places { .. } => Lane::Bulk,
        }
    }
}

/// What a member tells others of where it was, and what others tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rejoin {
    /// The round that the engine said was next.
    at: Round,
    passed: VecDeque<Place>,
    /// How often each was answered, since which place.
    answered: BTreeMap<PartyId, (Round, u8)>,
    /// Who asked, and how often it is still told of further places.
    askers: BTreeMap<PartyId, u8>,
    /// What others say, while this member is behind.
    heard: Option<BTreeMap<PartyId, (Round, Vec<Place>)>>,
}

impl Rejoin {
    /// The engine passed a place. Who asked, and is to hear of it.
    pub(super) fn pass(&mut self, place: Place) -> Vec<PartyId> {
        let round = place.position.round.number();
        if round <= self.at.number() {
            return Vec::new();
        }
        self.at = place.position.round;
        if !round.is_multiple_of(STEPS[0]) {
            return Vec::new();
        }
        self.passed.push_back(place);
        self.passed.retain(|place| {
            let at = place.position.round.number();
            let is_of = |step: &u64| at.is_multiple_of(*step) && round / step - at / step < OF_EACH;
            STEPS.iter().any(is_of)
        });
        if !round.is_multiple_of(STEPS[1]) {
            return Vec::new();
        }
        let askers = self.askers.keys().copied().collect();
        self.askers.values_mut().for_each(|left| *left -= 1);
        self.askers.retain(|_, left| *left > 0);
        askers
    }

    /// What there is to tell.
    pub(super) fn tell(&self) -> Message {
        Message::Places { at: self.at, places: self.passed.iter().cloned().collect() }
    }

    /// Whether to answer one who asks.
    pub(super) fn may_answer(&mut self, from: PartyId) -> bool {
        let last = self.passed.back().map_or(Round::FIRST, |place| place.position.round);
        let (since, count) = self.answered.entry(from).or_default();
        if *since < last {
            (*since, *count) = (last, 0);
        }
        *count = count.saturating_add(1);
        self.askers.insert(from, PUSHES);
        *count <= ANSWERS_MAX
    }

    /// The engine needs what nobody keeps.
    pub(super) fn begin(&mut self) {
        self.heard = Some(BTreeMap::new());
    }

    /// Whether this member looks for a place.
    pub(super) const fn is_behind(&self) -> bool {
        self.heard.is_some()
    }

    /// Somebody tells where it was. Where to go on, if that is known now: the last place of which `needed`
    /// members say the same, while as many say that they are beyond it. One of these is correct, so the
    /// round after the place is decided; so `f + 1` correct members have passed the place, and can lead
    /// those who are still below it, for which this one is lost.
    pub(super) fn hear(
        &mut self,
        from: PartyId,
        at: Round,
        places: Vec<Place>,
        needed: usize,
    ) -> Option<Place> {
        let here = self.at;
        let heard = self.heard.as_mut()?;
        heard.insert(from, (at, places));
        let beyond = |place: &&Place| {
            let is = |(at, _): &&(Round, Vec<Place>)| *at > place.position.round;
            heard.values().filter(is).count() >= needed
        };
        let told = |place: &&Place| {
            heard.values().filter(|(_, places)| places.contains(place)).count() >= needed
        };
        let ahead = heard.values().flat_map(|(_, places)| places);
        let ahead = ahead.filter(|place| place.position.round > here).filter(beyond).filter(told);
        let best = ahead.max_by_key(|place| place.position.round).cloned()?;
        (self.heard, self.at) = (None, best.position.round);
        Some(best)
    }
}

impl<E: Engine> Closing<E> {
    /// The engine passed a place.
    pub(super) fn pass(&mut self, position: Position, fx: &mut Effects<'_, Self>) {
        let place = Place { position, asked: self.asked.clone(), end: self.end };
        for asker in self.rejoin.pass(place) {
            fx.send(asker, self.rejoin.tell());
        }
    }

    /// E4.
    pub(super) fn on_message(
        &mut self,
        from: PartyId,
        message: Message,
        fx: &mut Effects<'_, Self>,
    ) {
        let (me, needed) = (fx.seat().me(), fx.seat().thresholds().one_correct());
        match message {
            Message::Where if from == me => {}
            Message::Where => {
                if self.rejoin.may_answer(from) {
                    fx.send(from, self.rejoin.tell());
                }
            }
            Message::Places { at, places } => {
                if let Some(place) = self.rejoin.hear(from, at, places, needed) {
                    self.go_on(place, fx);
                }
            }
        }
    }

    /// Goes on from a place. Its user is told what it lost, and what it needs to know of that.
    fn go_on(&mut self, place: Place, fx: &mut Effects<'_, Self>) {
        let Place { position, asked, end } = place;
        let (from, to) = (self.reached, end.unwrap_or(position.slot));
        self.reached = self.reached.max(position.slot);
        if from < to {
            self.keep(Output::Stream(atomic::Output::Lagged { from, to }));
        }
        for party in asked {
            if self.asked.insert(party) {
                self.keep(Output::Asked { from: party, at: to });
            }
        }
        if let (Some(at), None) = (end, self.end) {
            self.keep(Output::Closed { at });
            self.end = end;
        }
        self.tell(atomic::Input::Resume { position }, fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(round: u64) -> Place {
        let position = Position { round: Round::new(round), ..Position::default() };
        Place { position, asked: BTreeSet::new(), end: None }
    }

    fn rounds(of: &Rejoin) -> Vec<u64> {
        of.passed.iter().map(|place| place.position.round.number()).collect()
    }

    #[test]
    fn close_places_and_far_ones_are_kept_and_no_more() {
        let mut rejoin = Rejoin::default();
        for round in 1..=10_000 {
            rejoin.pass(place(round));
            assert!(rejoin.passed.len() <= PLACES_MAX);
        }
        let kept = rounds(&rejoin);
        assert_eq!(kept[..5], [2_048, 4_096, 6_144, 8_192, 9_216]);
        assert_eq!(kept[kept.len() - 4..], [9_988, 9_992, 9_996, 10_000]);
        rejoin.pass(place(9_000));
        assert_eq!(rounds(&rejoin), kept, "none is passed again");
    }

    #[test]
    fn liars_lead_nobody_and_a_place_is_passed_by_others() {
        let (mut rejoin, p) = (Rejoin::default(), PartyId::new);
        let here = |_| vec![place(8), place(12)];
        assert_eq!(rejoin.hear(p(1), Round::new(13), here(1), 2), None, "it is not behind");
        rejoin.begin();
        let lie = || vec![place(1 << 40)];
        assert_eq!(rejoin.hear(p(1), Round::new(1 << 50), lie(), 2), None);
        assert_eq!(rejoin.hear(p(1), Round::new(1 << 50), lie(), 2), None, "one counts once");
        assert_eq!(rejoin.hear(p(2), Round::new(12), here(2), 2), None);
        let best = rejoin.hear(p(3), Round::new(12), here(3), 2);
        assert_eq!(best, Some(place(8)), "12 may be nobody's but theirs");
        assert!(!rejoin.is_behind());
    }

    #[test]
    fn who_asks_without_end_is_answered_now_and_then() {
        let mut rejoin = Rejoin::default();
        let answers =
            |rejoin: &mut Rejoin| (0..100).filter(|_| rejoin.may_answer(PartyId::new(1))).count();
        assert_eq!(answers(&mut rejoin), usize::from(ANSWERS_MAX));
        let pushed: usize = (1..=1_000).map(|round| rejoin.pass(place(round)).len()).sum();
        assert_eq!(pushed, usize::from(PUSHES));
        assert_eq!(answers(&mut rejoin), usize::from(ANSWERS_MAX));
    }
}
