//! The fast lane under leaders that do what only a leader can do, and with clocks that stand still or run
//! wild: what is delivered is the same for all, and is delivered.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use maftia_core::{
    id::PartyId,
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group, Letter, Pick, Rng, World,
        adversary::{self, Random, Script},
        behaviour::Behaviour,
        oracle, p, property, size,
    },
    stream::{
        atomic::Atomic,
        fast::{Fast, Message, Phase, Spec},
    },
    time::Span,
};

use crate::{
    fast::spec,
    group::{
        check, deliver, deliver_by, ends, finish, group, more, seated, send, small, submit, work,
    },
    misrule::{self, Cuts, Hides, Misstates, Slow, Stalls},
};

/// As far as a clock can be from saying anything: more than anything here takes.
const YEAR: Span = Span::millis(365 * 24 * 3_600 * 1_000);

/// Members that have nothing in common but the group: each has its own patience and its own clock.
fn mixed(n: u16, seed: u64) -> Group<Fast> {
    seated(n, seed, |party| {
        let mut rng = Rng::new(seed).fork(u64::from(party.number()) + 1);
        let patience = *rng.choose(&[1, 2, 3, 6, 12]);
        let clocks = [None, Some(Span::micros(0)), Some(Span::millis(200)), Some(YEAR)];
        Spec { patience, impatience: *rng.choose(&clocks), ..Spec::default() }
    })
}

/// As many members as may be, and which: at half of the seeds the first leaders.
fn liars(n: u16, seed: u64) -> Vec<PartyId> {
    let mut rng = Rng::new(seed).fork(0x11a5);
    let first = if rng.once_in(2) { 0 } else { rng.below(n.into()) as u16 };
    (0..(n - 1) / 3).map(|next| p((first + next) % n)).collect()
}

fn corrupt(
    group: &mut Group<Fast>,
    liars: &[PartyId],
    misdeed: impl Fn(PartyId) -> Box<dyn Behaviour>,
) {
    for liar in liars {
        group.corrupt_boxed(Group::<Fast>::owner(*liar), misdeed(*liar));
    }
}

/// A group whose first leaders have this misdeed.
fn led_by(n: u16, seed: u64, misdeed: impl Fn(PartyId) -> Box<dyn Behaviour>) -> Group<Fast> {
    let mut group = group(n, seed, spec(seed));
    let leaders: Vec<_> = PartyId::all(n).take(usize::from((n - 1) / 3)).collect();
    corrupt(&mut group, &leaders, misdeed);
    group
}

/// The one to try with very many seeds: whoever the liars are and whatever they do, in any order of
/// letters, with members whose patience and clocks have nothing in common, some of whom restart.
#[test]
fn everything_is_delivered_whoever_lies_and_whatever_the_clocks_say() {
    property(64, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let mut group = mixed(n, seed).restarts(2).losses(seed / 4 % 3);
        corrupt(&mut group, &liars(n, seed), |liar| misrule::any(seed, liar));
        if seed % 4 == 3 {
            group = group.detach([Atomic::KIND]);
        }
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

/// The fallback is what such worlds are about: most of them meet it.
#[test]
fn worlds_whose_clocks_run_wild_leave_their_leaders() {
    let left = |seed: &u64| {
        let mut group = mixed(4, *seed);
        work(&mut group, 4, 3);
        ends(group.outputs(p(0))).iter().any(|end| end.first != p(0))
    };
    assert!((0..24).filter(left).count() > 12);
}

/// A clock that never comes to an end is none: the rounds of signs of life suffice.
#[test]
fn nobody_waits_for_a_clock_that_stands_still() {
    property(24, |seed| {
        let (n, _) = small(seed);
        let spec = Spec { patience: 1 + seed % 12, impatience: Some(YEAR), ..Spec::default() };
        let mut group: Group<Fast> = group(n, seed, spec);
        corrupt(&mut group, &liars(n, seed), |liar| misrule::any(seed, liar));
        let mut submitted = send(&mut group, n, 1);
        for party in PartyId::all(n) {
            submit(&mut group, party, "last");
            submitted.push((party, "last".into()));
        }
        deliver_by(1, &mut group, &submitted);
        assert!(group.now() < YEAR.as_micros(), "all is delivered before any leader's time is up");
        finish(&mut group, &submitted);
        check(&group, &submitted);
    });
}

/// A clock that is always late ends every epoch at once; each orders what was sent around before it.
#[test]
fn clocks_that_run_wild_hold_nobody_up() {
    property(24, |seed| {
        let (n, _) = small(seed);
        let spec = Spec { patience: 12, impatience: Some(Span::micros(0)), ..Spec::default() };
        let mut group: Group<Fast> = group(n, seed, spec);
        corrupt(&mut group, &liars(n, seed), |liar| misrule::any(seed, liar));
        let submitted = work(&mut group, n, 2);
        check(&group, &submitted);
    });
}

/// At every place, and with every choice of who is told the cut of that place.
#[test]
fn leaders_that_stall_anywhere_hold_nobody_up() {
    property(64, |seed| {
        let (n, _) = small(seed);
        let (place, told) = (1 + seed % 8, (seed / 8) << 1);
        let mut group = led_by(n, seed / 3, |_| Box::new(Stalls { place, told }));
        let submitted = work(&mut group, n, 4);
        check(&group, &submitted);
    });
}

#[test]
fn slow_leaders_hold_nobody_up() {
    property(16, |seed| {
        let (n, _) = small(seed);
        let mut group = led_by(n, seed, |_| Box::new(Slow::by(1 + seed % 90)));
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
    });
}

#[test]
fn leaders_that_cut_twice_or_name_what_there_is_not_split_nobody() {
    property(24, |seed| {
        let (n, _) = small(seed);
        let mut group = led_by(n, seed / 2, |_| match seed % 2 {
            0 => Box::new(Cuts::forked(1 + seed / 2 % 4, (seed / 8) << 1)),
            _ => Box::new(Cuts::invented()),
        });
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
    });
}

/// Old states, and states of what never happened, change nothing that was delivered and stop nobody.
#[test]
fn states_that_lie_change_nothing() {
    property(32, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        let how = (seed / 2) as usize % Misstates::WAYS;
        let mut group = mixed(n, seed);
        corrupt(&mut group, &liars(n, seed), |_| Box::new(Misstates { how }));
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
    });
}

/// Who is where, when one member is ahead of all other correct ones.
struct Ahead {
    /// The one that delivers what nobody else delivers.
    first: Owner,
    /// Those that prepare it, the first one among them.
    few: Vec<Owner>,
    /// All other correct ones.
    others: Vec<Owner>,
    /// After so many places.
    after: u64,
    /// Whether the leader itself sees to it that the others bind themselves to something else.
    forked: bool,
    /// How far the first one was when it was cut off. 0: it is not yet.
    at: Arc<AtomicU64>,
    /// Until when it stays cut off.
    until: u64,
}

impl Ahead {
    fn place(world: &World, owner: Owner) -> u64 {
        world.root::<Fast>(owner).position(4).round.number()
    }

    /// Whether the first one is further than all others.
    fn is_ahead(&self, world: &World) -> bool {
        let others = self.few.iter().chain(&self.others).filter(|other| **other != self.first);
        let others = others.map(|other| Self::place(world, *other)).max();
        let first = Self::place(world, self.first);
        first > self.after && Some(first) > others
    }

    /// Up to a place, everything. Then binds go to those only who are to prepare, to the first one
    /// before the `rest` of them, second ones to the first one only, and nobody hears signs of life.
    /// Afterwards the first one is cut off.
    fn wants(&self, rest: bool, letter: &Letter) -> bool {
        let Some((from, to, _)) = letter.frame() else { return true };
        if self.at.load(Ordering::Relaxed) > 0 {
            return from != self.first && to != self.first;
        }
        match letter.message::<Fast>() {
            Some(Message::Cut { .. }) => self.forked || !self.others.contains(&to),
            Some(Message::Bind { phase: Phase::One, .. }) if to != self.first => {
                rest && (self.forked || !self.others.contains(&to))
            }
            Some(Message::Bind { phase: Phase::Two, .. }) => to == self.first,
            Some(Message::Pulse { .. } | Message::Leave { .. }) => false,
            _ => true,
        }
    }

    fn pick(&mut self, world: &World, rng: &mut Rng) -> Pick {
        if self.at.load(Ordering::Relaxed) == 0 && self.is_ahead(world) {
            self.at.store(Self::place(world, self.first), Ordering::Relaxed);
            self.until += world.steps();
        }
        let cut_off = self.at.load(Ordering::Relaxed) > 0;
        let before = Self::place(world, self.first) < self.after;
        if before || (cut_off && world.steps() > self.until) {
            return adversary::any(world, rng);
        }
        let pool = world.pool();
        let rest = !(0..pool.queues()).any(|queue| self.wants(false, &pool.head(queue).letter));
        adversary::prefer(world, rng, |flight| self.wants(rest, &flight.letter))
    }
}

/// The worst case of the recovery rule: one member has delivered an item that only `f + 1` correct ones
/// prepared, and is cut off; the liars never said the binds that they gave them, and the rest saw no cut
/// or, if a liar leads, another one. The others leave, and what it delivered is what they deliver.
#[test]
fn what_one_member_alone_delivered_is_delivered_by_all() {
    property(64, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let (how, forked) = ((seed / 4) as usize % Misstates::WAYS, seed / 2 % 2 == 1);
        let spec = Spec { patience: 20, impatience: None, ..Spec::default() };
        let mut group: Group<Fast> = group(n, seed, spec);
        let mut members: Vec<_> = PartyId::all(n).collect();
        let turn = usize::from(if forked { 0 } else { n - f });
        members.rotate_left(turn);
        let (liars, correct) = members.split_at_mut(f.into());
        let turn = (seed / 32) as usize % correct.len();
        correct.rotate_left(turn);
        let (few, others) = correct.split_at(usize::from(f) + 1);
        let after = 1 + seed / 8 % 4;
        let told = others.iter().map(|other| 1 << other.number()).sum();
        let hides = Hides {
            cuts: Cuts::forked(after + 1, told),
            first: if forked { correct.to_vec() } else { few.to_vec() },
            second: few[0],
            state: Misstates { how },
        };
        corrupt(&mut group, liars, |_| Box::new(hides.clone()));
        let owner = |party: &PartyId| Group::<Fast>::owner(*party);
        let at = Arc::new(AtomicU64::new(0));
        let mut ahead = Ahead {
            first: owner(&few[0]),
            few: few.iter().map(owner).collect(),
            others: others.iter().map(owner).collect(),
            after,
            forked,
            at: Arc::clone(&at),
            until: 500 + seed % 7 * 500,
        };
        group.set_adversary(Script(move |world: &World, rng: &mut Rng| {
            Some(ahead.pick(world, rng))
        }));
        let mut submitted = send(&mut group, n, 1);
        for wave in 0.. {
            if at.load(Ordering::Relaxed) > 0 {
                break;
            }
            assert!(wave < 100, "one is ahead of all others in the end");
            submitted.extend(more(&mut group, n, wave));
        }
        deliver(&mut group, &submitted);
        group.set_adversary(Random);
        finish(&mut group, &submitted);
        check(&group, &submitted);
    });
}
