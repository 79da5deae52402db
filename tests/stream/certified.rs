//! The certified lanes.

use bytes::Bytes;
use maftia_core::{
    crypto::{Certificate, Digest, Share},
    effects::Lane,
    id::PartyId,
    path::InstanceId,
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group,
        behaviour::{Behaviour, Corrupted, Crash, Late, Mute, Outgoing, Replay},
        oracle, p, property, size,
    },
    stream::{
        atomic::{self, Atomic},
        batch::Batch,
        certified::{Certified, Message, Receipt, Spec},
        fast::Head,
    },
    wire,
};

use crate::group::{
    check, deliver, delivered, ends, resumes_after, send, shows_to_one, small, starved, submit,
    take_all, tells_another_batch, work,
};

/// A group of this engine.
fn group(n: u16, seed: u64, spec: Spec) -> Group<Certified> {
    crate::group::group(n, seed, spec)
}

#[test]
fn everything_is_delivered_by_all_in_one_order_whatever_the_others_do() {
    property(48, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let mut group = group(n, seed, Spec::default()).corrupt_any().restarts(2);
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
fn one_who_tells_everybody_another_batch_splits_nobody() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        tells_another_batch(group(n, seed, Spec::default()), liars);
    });
}

#[test]
fn one_who_shows_its_batches_to_few_holds_nobody_up() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        shows_to_one(group(n, seed, Spec::default()), n, liars, p((seed % 3) as u16));
    });
}

#[test]
fn a_group_rests_beside_liars_that_begin_no_rounds() {
    property(24, |seed| {
        let (n, liars) = small(seed);
        let mut group = group(n, seed, Spec::default());
        for liar in liars {
            let misdeed: Box<dyn Behaviour> = match seed % 4 {
                0 => Box::new(Crash::after(seed % 200 * 3)),
                1 => Box::new(Mute),
                2 => Box::new(Late::default()),
                _ => Box::new(Replay::default()),
            };
            group.corrupt_boxed(Group::<Certified>::owner(liar), misdeed);
        }
        let submitted = send(&mut group, n, 2);
        deliver(&mut group, &submitted);
        group.run();
        check(&group, &submitted);
    });
}

/// Says numbers that nobody can have and receipts that nobody signed, asks for everything, answers
/// what nobody asked.
#[derive(Clone, Debug)]
struct Giant;

impl Giant {
    fn words(lane: PartyId) -> Vec<Message> {
        let head = |seq| Head { seq, chain: Digest::of("giant", b"") };
        let batch = || Batch::of(["giant"]);
        let (before, share) = (head(1).chain, Share(Bytes::from_static(b"giant")));
        vec![
            Message::Batch { seq: u64::MAX, batch: batch() },
            Message::Batch { seq: 40, batch: batch() },
            Message::Sign { seq: u64::MAX },
            Message::Sign { seq: 1 << 62 },
            Message::Share { head: head(1), share },
            Message::Recall { seq: u64::MAX, back: false },
            Message::Recall { seq: 0, back: false },
            Message::Lack { lane, to: head(0) },
            Message::Lack { lane, to: head(1) },
            Message::Have { lane, to: head(1) },
            Message::Gone { lane, to: head(1) },
            Message::Want { lane, after: 0, to: head(u64::MAX) },
            Message::Want { lane, after: 0, to: head(1) },
            Message::Part { lane, seq: 1, before, batch: batch() },
            Message::Part { lane, seq: 0, before, batch: batch() },
        ]
    }

    /// A receipt of its own lane that nobody signed, submitted to the rounds as it should be.
    fn receipt(stream: &InstanceId, round: u64, cx: &Corrupted<'_>) -> Bytes {
        let head = Head { seq: 1 << 40, chain: Digest::of("giant", b"") };
        let certificate = Certificate(Bytes::from_static(b"giant"));
        let batch = Batch::of([wire::encode(&Receipt { head, certificate })]);
        let (digest, tag) = (batch.digest(), stream.tag("queue").numbered(round));
        let signature = cx.keys.identity.sign(&tag, &digest);
        let round = maftia_core::id::Round::new(round);
        wire::encode(&atomic::Message::Queue { round, digest, batch, signature })
    }
}

impl Behaviour for Giant {
    fn name(&self) -> &'static str {
        "giant"
    }

    fn hear(&mut self, _: Owner, instance: &InstanceId, _: &Bytes, cx: &mut Corrupted<'_>) {
        let bytes = match instance.path().len() {
            0 => {
                let words = Self::words(p(cx.rng.below(4) as u16));
                wire::encode(&words[cx.rng.below(words.len())])
            }
            1 => {
                let round = cx.rng.below(8) as u64;
                Self::receipt(instance, round, cx)
            }
            _ => return,
        };
        for to in cx.others {
            let (instance, bytes) = (instance.clone(), bytes.clone());
            let lane = Lane::Control;
            cx.send(Outgoing { to: *to, instance, kind: None, lane, bytes, face: 0 });
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

#[test]
fn numbers_and_receipts_that_nobody_can_have_move_nobody() {
    property(12, |seed| {
        let (n, liars) = small(seed);
        let mut group = group(n, seed, Spec::default());
        for liar in liars {
            group = group.corrupt(liar, Giant);
        }
        let submitted = work(&mut group, n, 2);
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 60, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

#[test]
fn whoever_lost_frames_asks_for_them_again() {
    property(24, |seed| {
        let (n, _) = small(seed);
        let mut group = group(n, seed, Spec::default()).losses(3);
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
    });
}

#[test]
fn one_who_starved_for_some_rounds_catches_up() {
    property(4, |seed| {
        let group = starved::<Certified>(seed, 40, Spec::default());
        let all = delivered(group.outputs(p(0)));
        assert_eq!(all.len(), 41, "and its own payload is ordered in the end");
        assert_eq!(delivered(group.outputs(*group.correct().last().unwrap())), all);
        oracle::no_slander(&group).unwrap();
    });
}

#[test]
fn one_who_starved_beyond_what_is_kept_resumes() {
    property(3, |seed| {
        resumes_after::<Certified>(seed, 220, Spec { rounds_kept: 16, ..Spec::default() });
    });
}

#[test]
fn a_group_that_has_nothing_to_say_is_silent() {
    let mut group = group(7, 3, Spec::default()).corrupt(p(6), Mute);
    take_all(&mut group);
    group.run();
    assert_eq!(group.steps(), 7, "what the users asked is all that happened");
    submit(&mut group, p(2), "x");
    group.run();
    assert!(ends(group.outputs(p(0))).len() <= 3, "one payload does not keep the group busy");
}
