//! The fast lane: with a leader that works, and with every other.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use maftia_core::{
    crypto::Digest,
    effects::Lane,
    fault::Once,
    id::{PartyId, Round},
    path::{InstanceId, Role},
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group,
        adversary::{Random, Script},
        behaviour::{
            Behaviour, Corrupted, Crash, Equivocate, Late, Mute, Outgoing, Replay, Withhold,
        },
        oracle, p, property, size,
    },
    stream::{
        atomic::{self, Atomic},
        batch::Batch,
        fast::{Fast, Head, Item, Life, Message, Phase, Spec},
    },
    time::Span,
    wire,
};

use crate::group::{
    check, deliver, delivered, ends, finish, send, shows_to_one, small, submit, take_all,
    tells_another_batch, work,
};

/// Little patience or next to none, so that the stream below is needed at random; no clock, one that
/// always says it is too late, or one that hardly ever does; and leaders that cut at once or not.
pub(crate) fn spec(seed: u64) -> Spec {
    let impatience = match seed % 3 {
        0 => None,
        1 => Some(Span::micros(0)),
        _ => Some(Span::millis(200)),
    };
    let patience = [12, 1, 3, 12][(seed / 3 % 4) as usize];
    Spec { patience, impatience, together: seed / 12 % 2 == 1, ..Spec::default() }
}

fn group(n: u16, seed: u64) -> Group<Fast> {
    crate::group::group(n, seed, spec(seed))
}

/// A group whose first leaders are corrupted.
fn led_by(n: u16, seed: u64, misdeed: impl Fn() -> Box<dyn Behaviour>) -> Group<Fast> {
    let mut group = group(n, seed);
    for liar in PartyId::all(n).take(usize::from((n - 1) / 3)) {
        group.corrupt_boxed(Group::<Fast>::owner(liar), misdeed());
    }
    group
}

#[test]
fn everything_is_delivered_by_all_in_one_order_whatever_the_others_do() {
    property(48, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let mut group = group(n, seed).corrupt_any().restarts(2);
        if seed % 4 == 3 {
            group = group.detach([Atomic::KIND]);
        }
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

#[test]
fn in_peace_one_leader_orders_everything_and_no_state_is_left() {
    property(24, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let spec = Spec { impatience: None, ..Spec::default() };
        let mut group: Group<Fast> = crate::group::group(n, seed, spec);
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
        let last = ends(group.outputs(p(0))).pop().unwrap();
        assert_eq!(last.first, p(0), "nobody was impatient");
    });
}

/// And what comes alone is ordered, too.
#[test]
fn payloads_that_are_of_use_together_are_cut_together() {
    property(24, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let spec = Spec { together: true, ..Spec::default() };
        let mut group: Group<Fast> = crate::group::group(n, seed, spec);
        // Nobody has waited for long as long as anything is on its way.
        group.set_pace(0);
        take_all(&mut group);
        let mut submitted = Vec::new();
        let mut say = |group: &mut Group<Fast>, parties: std::ops::Range<u16>| {
            for party in parties {
                let payload = format!("payload {}", submitted.len());
                submit(group, p(party), &payload);
                submitted.push((p(party), payload));
            }
            group.run();
            submitted.clone()
        };
        // The leader is among them, or not.
        let first = (seed % 2) as u16;
        say(&mut group, first..first + f + 1);
        for party in PartyId::all(n) {
            assert_eq!(ends(group.outputs(party)).len(), 1, "one item orders all");
        }
        for alone in [0, n - 1] {
            let submitted = say(&mut group, alone..alone + 1);
            check(&group, &submitted);
        }
    });
}

#[test]
fn a_leader_that_lies_or_fails_holds_nobody_up() {
    property(48, |seed| {
        let (n, _) = small(seed);
        let mut group = led_by(n, seed, || match seed / 3 % 6 {
            0 => Box::new(Crash::after(seed % 200 * 3)),
            1 => Box::new(Mute),
            2 => Box::new(Late::default()),
            3 => Box::new(Replay::default()),
            4 => Box::new(Equivocate::at_random()),
            _ => Box::new(Withhold::from_all_but([p(n - 1)])),
        });
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
    });
}

/// The first leaders hear nothing of one member, so that they never order what it submits, and do all
/// else as they should; the others go on. A clock shortens the wait.
#[test]
fn leaders_that_pass_one_lane_over_are_left() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        let owner = |party| Group::<Fast>::owner(party);
        let (last, over) = (p(n - 1), owner(p(n - 1)));
        let leaders = PartyId::all(n).take(liars.len()).map(owner);
        let leaders: Vec<_> = leaders.collect();
        let (patience, impatience, waves) = match seed / 2 % 2 {
            0 => (32, None, 1_000),
            _ => (Spec::default().patience, Some(Span::millis(2)), 400),
        };
        let spec = Spec { patience, impatience, ..Spec::default() };
        let mut group: Group<Fast> = crate::group::group(n, seed, spec);
        for liar in PartyId::all(n).take(liars.len()) {
            group = group.corrupt(liar, Crash::after(u64::MAX));
        }
        group.set_adversary(Script(crate::group::holding(move |from, to, _| {
            from == over && leaders.contains(&to)
        })));
        let mut submitted = send(&mut group, n, 2);
        let waits = |group: &Group<Fast>| {
            let told = |party| delivered(group.outputs(party));
            let all = |party| told(party).iter().filter(|(from, _)| *from == last).count() == 2;
            !group.correct().into_iter().all(all)
        };
        while waits(&group) {
            assert!(submitted.len() < waves * usize::from(n), "its lane waits for ever");
            for party in PartyId::all(n - 1) {
                submit(&mut group, party, "more");
                submitted.push((party, "more".into()));
            }
            let until = group.steps() + 20 * u64::from(n);
            group.run_while(|world| world.steps() < until);
        }
        group.set_adversary(Random);
        finish(&mut group, &submitted);
        check(&group, &submitted);
    });
}

#[test]
fn one_who_tells_everybody_another_batch_splits_nobody() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        tells_another_batch(group(n, seed), liars);
    });
}

#[test]
fn one_who_shows_its_batches_to_few_holds_nobody_up() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        shows_to_one(group(n, seed), n, liars, p((seed % 3) as u16));
    });
}

#[test]
fn a_group_rests_beside_liars_that_are_only_silent_or_late() {
    property(24, |seed| {
        let (n, liars) = small(seed);
        let mut group = group(n, seed);
        for liar in liars {
            let misdeed: Box<dyn Behaviour> = match seed % 3 {
                0 => Box::new(Crash::after(seed % 200 * 3)),
                1 => Box::new(Mute),
                _ => Box::new(Late::default()),
            };
            group.corrupt_boxed(Group::<Fast>::owner(liar), misdeed);
        }
        let submitted = send(&mut group, n, 2);
        deliver(&mut group, &submitted);
        group.run();
        check(&group, &submitted);
    });
}

/// Says numbers that nobody can have, the last ones that are let in, and those right behind.
#[derive(Clone, Debug)]
struct Giant;

impl Giant {
    fn words(life: Life, number: u64) -> Vec<Message> {
        let (far, near) = (Round::new(number), life.at.next());
        let chain = Digest::of("giant", b"");
        let head = |seq| Head { seq, chain };
        let heads = || vec![(p(0), head(number))];
        let giant = Life { epoch: number, count: number, at: far, stood: far };
        let phase = Phase::One;
        let bind = |life, phase, place, heads| Message::Bind { life, phase, place, chain, heads };
        let item = |epoch, heads| Item { epoch, after: chain, closes: None, heads };
        let batch = || Batch::of(["giant"]);
        let part = |after, seq| Message::Part { lane: p(0), after, to: chain, seq, batch: batch() };
        vec![
            Message::Fetch { from: far },
            Message::Recall { epoch: 0, at: far, seq: number, back: false },
            Message::Recall { epoch: 0, at: Round::FIRST, seq: number, back: true },
            Message::Told { first: far, items: Vec::new(), at: far },
            Message::Told { first: near, items: vec![item(number, heads())], at: near },
            Message::Gone { at: far },
            Message::WantItem { place: far, chain },
            Message::WantBatches { lane: p(0), after: head(number), to: head(number) },
            Message::WantBatches { lane: p(0), after: head(0), to: head(number) },
            Message::Heads { life, heads: heads() },
            Message::Pulse { life: giant },
            Message::Leave { epoch: number },
            Message::Batch { seq: number, batch: batch() },
            Message::Cut { place: far, item: item(0, Vec::new()) },
            Message::Cut { place: near, item: item(number, Vec::new()) },
            Message::Cut { place: near, item: item(0, heads()) },
            Message::Item { place: far, item: item(0, Vec::new()) },
            Message::Item { place: near, item: item(number, heads()) },
            bind(giant, phase, far, heads()),
            Message::Heads { life: Life { stood: far, ..life }, heads: Vec::new() },
            bind(Life { epoch: number, ..life }, phase, near, Vec::new()),
            bind(life, Phase::Two, near, heads()),
            bind(life, phase, far, Vec::new()),
            part(number, number),
            part(0, number),
            part(number, 1),
        ]
    }
}

impl Behaviour for Giant {
    fn name(&self) -> &'static str {
        "giant"
    }

    fn hear(&mut self, _: Owner, instance: &InstanceId, _: &Bytes, cx: &mut Corrupted<'_>) {
        if !instance.path().is_empty() {
            return;
        }
        let life = Life { epoch: 0, count: cx.step, at: Round::FIRST, stood: Round::FIRST };
        // Out of reach, the first one that is, the last one that is let in, and what is only far.
        let number = *cx.rng.choose(&[u64::MAX, (1 << 62) + 1, 1 << 62, (1 << 62) - 1, 1 << 40]);
        let words = Self::words(life, number);
        let word = &words[cx.rng.below(words.len())];
        for to in cx.others {
            let (instance, bytes) = (instance.clone(), wire::encode(word));
            let lane = Lane::Control;
            cx.send(Outgoing { to: *to, instance, kind: None, lane, bytes, face: 0 });
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

#[test]
fn numbers_that_nobody_can_have_move_nobody() {
    property(12, |seed| {
        let (n, liars) = small(seed);
        let mut group = group(n, seed);
        for liar in liars {
            group = group.corrupt(liar, Giant);
        }
        let submitted = work(&mut group, n, 2);
        check(&group, &submitted);
    });
}

/// Announces a batch in every round of the stream of states, again and again.
#[derive(Clone, Debug)]
struct Announcer {
    batch: Batch,
    /// The round that it announces next.
    next: Round,
    liars: BTreeSet<Owner>,
    /// How many frames of correct members it hears there.
    heard: Arc<AtomicU64>,
}

impl Announcer {
    fn says(&mut self, below: InstanceId, cx: &mut Corrupted<'_>) {
        let (round, batch) = (self.next, self.batch.clone());
        self.next = round.next();
        let digest = batch.digest();
        let signature = cx.keys.identity.sign(&Once::Batch(round).tag(&below), &digest);
        let bytes = wire::encode(&atomic::Message::Queue { round, digest, batch, signature });
        for to in cx.others {
            let (instance, bytes) = (below.clone(), bytes.clone());
            cx.send(Outgoing { to: *to, instance, kind: None, lane: Lane::Bulk, bytes, face: 0 });
        }
    }
}

impl Behaviour for Announcer {
    fn name(&self) -> &'static str {
        "announcer"
    }

    fn hear(&mut self, from: Owner, at: &InstanceId, bytes: &Bytes, cx: &mut Corrupted<'_>) {
        let below = Role::Stream.only();
        if at.path().is_empty() && self.next == Round::FIRST {
            self.says(at.child(below), cx);
        }
        if at.path().first() != Some(&below) || self.liars.contains(&from) {
            return;
        }
        self.heard.fetch_add(1, Ordering::Relaxed);
        if at.path().len() == 1
            && let Ok(atomic::Message::Queue { round, .. }) = wire::decode(bytes)
            && round.next() >= self.next
        {
            self.next = round.next();
            self.says(at.clone(), cx);
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

/// A group with announcers, and how many frames they hear about the stream of states.
fn with_announcers(mut group: Group<Fast>, n: u16, seed: u64) -> (Group<Fast>, Arc<AtomicU64>) {
    let liars = PartyId::all(n).rev().take(usize::from((n - 1) / 3));
    let liars: BTreeSet<_> = liars.map(Group::<Fast>::owner).collect();
    let heard = Arc::<AtomicU64>::default();
    for liar in &liars {
        let batch = if seed.is_multiple_of(2) { Batch::default() } else { Batch::of(["no state"]) };
        let (liars, heard) = (liars.clone(), Arc::clone(&heard));
        let announcer = Announcer { batch, next: Round::FIRST, liars, heard };
        group.corrupt_boxed(*liar, Box::new(announcer));
    }
    (group, heard)
}

/// Below a leader that works nobody says a word, whatever a liar announces there; and all come to rest
/// beside it.
#[test]
fn in_peace_nobody_makes_the_stream_of_states_run() {
    property(24, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let spec = Spec { impatience: None, ..Spec::default() };
        let (mut group, heard) = with_announcers(crate::group::group(n, seed, spec), n, seed);
        let submitted = send(&mut group, n, 3);
        deliver(&mut group, &submitted);
        group.run();
        check(&group, &submitted);
        assert_eq!(heard.load(Ordering::Relaxed), 0, "frames about rounds that nobody wants");
    });
}

/// Where members leave epochs a liar makes some rounds more, and then the group comes to rest beside it.
#[test]
fn a_group_rests_beside_one_who_announces_every_round_of_the_stream_of_states() {
    property(24, |seed| {
        let (n, _) = small(seed);
        let (mut group, _) = with_announcers(group(n, seed), n, seed / 2);
        let submitted = send(&mut group, n, 2);
        deliver(&mut group, &submitted);
        group.run();
        check(&group, &submitted);
    });
}

#[test]
fn whoever_lost_frames_asks_for_them_again() {
    property(24, |seed| {
        let (n, _) = small(seed);
        let mut group = group(n, seed).losses(3);
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
    });
}

#[test]
fn a_group_that_has_nothing_to_say_is_silent() {
    let mut group = group(7, 3).corrupt(p(6), Mute);
    take_all(&mut group);
    group.run();
    assert_eq!(group.steps(), 7, "what the users asked is all that happened");
    submit(&mut group, p(2), "x");
    group.run();
    assert_eq!(ends(group.outputs(p(0))).len(), 1, "one payload does not keep the group busy");
}
