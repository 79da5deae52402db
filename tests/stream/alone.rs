//! What would leave a correct member of a fast group to wait alone, or let it stand still without
//! knowing: others that are slower or faster than it, and a leader that makes use of that.

use maftia_core::{
    id::{Round, Slot},
    seat::Owner,
    sim::{
        Group, Letter,
        adversary::{Random, Script},
        behaviour::{Behaviour, Corrupted, Crash, Outgoing, Withhold},
        oracle, p, property,
    },
    stream::{
        atomic::{Input, Output},
        fast::{Fast, Message, Phase, Spec},
    },
    time::Span,
    wire,
};

use crate::{
    group::{delivered, ends, group, holding, seated, submit, take_all, without},
    misrule::Cuts,
};

/// One that hears a leader and is slow to hear the others has no room for what comes ahead of it, and
/// then lacks nothing that it knows of.
#[test]
fn one_who_lacks_nothing_that_it_knows_of_comes_level_in_a_group_at_rest() {
    property(4, |seed| {
        let last = p(3);
        let mut group: Group<Fast> = group(4, seed, Spec::default());
        // Nobody has waited for so long that it would say so.
        group.set_pace(0);
        let heard = [p(0), last].map(Group::<Fast>::owner);
        group.set_adversary(Script(holding(move |from, to, _| {
            to == heard[1] && !heard.contains(&from)
        })));
        take_all(&mut group);
        // The room for a lane holds as many as the window of places.
        let payload = "x".repeat(276_000);
        for _ in 0..96 {
            submit(&mut group, p(0), &payload);
            group.run();
        }
        let end =
            |group: &Group<Fast>, party| ends(group.outputs(party)).last().map(|end| end.slot);
        assert!(end(&group, p(1)) >= Some(Slot::new(90)) && end(&group, last).is_none());
        group.set_adversary(Random);
        group.run();
        assert_eq!(end(&group, last), end(&group, p(1)));
    });
}

/// Batches for which a slow member had no room count for a lane that a leader passes over, like all
/// others: that member is no reason to bear the leader.
#[test]
fn a_lane_for_which_a_slow_member_had_no_room_is_not_passed_over_for_ever() {
    property(4, |seed| {
        let [leader, slow, quick, over] = [0, 1, 2, 3].map(p);
        let (patience, impatience) = match seed % 2 {
            0 => (32, None),
            _ => (Spec::default().patience, Some(Span::millis(2))),
        };
        let spec = Spec { patience, impatience, ..Spec::default() };
        let mut group: Group<Fast> = group(4, seed, spec);
        group = group.corrupt(leader, Crash::after(u64::MAX));
        group.set_steps_max(4_000_000);
        let owners = [leader, slow, quick, over].map(Group::<Fast>::owner);
        let late =
            move |from, to, _: &Letter| to == owners[1] && [owners[0], owners[2]].contains(&from);
        let deaf = move |from, to, _: &Letter| from == owners[3] && to == owners[0];
        group.set_adversary(Script(holding(late)));
        take_all(&mut group);
        // The room for a lane holds 31 of them, and the window of places all.
        let large = "x".repeat(560_000);
        for _ in 0..40 {
            submit(&mut group, over, &large);
            group.run();
        }
        assert_eq!(delivered(group.outputs(quick)).len(), 40);
        group.set_adversary(Script(holding(move |from, to, letter| {
            deaf(from, to, letter) || late(from, to, letter)
        })));
        submit(&mut group, over, &format!("passed over {large}"));
        group.run();
        group.set_adversary(Script(holding(deaf)));
        let comes = |group: &Group<Fast>| {
            delivered(group.outputs(slow))
                .iter()
                .any(|(_, payload)| payload.starts_with(b"passed over"))
        };
        for wave in 0.. {
            if comes(&group) {
                break;
            }
            assert!(wave < 1_000, "its lane waits for ever");
            for party in [slow, quick] {
                submit(&mut group, party, "more");
            }
            let until = group.steps() + 80;
            group.run_while(|world| world.steps() < until);
        }
        oracle::no_slander(&group).unwrap();
    });
}

/// A leader that names the last lane from its second item on to nobody, and never says that it waits.
#[derive(Clone, Debug)]
struct PassesOver(Cuts);

impl Behaviour for PassesOver {
    fn name(&self) -> &'static str {
        "passes over"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        if !matches!(wire::decode(&frame.bytes), Ok(Message::Pulse { .. })) {
            self.0.send(frame, cx);
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

/// A member that comes to a place before all others says that it waits there before they come: then it
/// is heard all the same, or it would wait alone below a leader that passes it over.
#[test]
fn one_who_waits_at_a_place_before_the_others_come_is_heard() {
    property(8, |seed| {
        let [leader, one, _, ahead] = [0, 1, 2, 3].map(p);
        let clock = |party| if party == ahead { Span::micros(0) } else { Span::millis(200) };
        let mut group: Group<Fast> =
            seated(4, seed, |party| Spec { impatience: Some(clock(party)), ..Spec::default() });
        group = group.corrupt(leader, PassesOver(Cuts::forked(2, u64::MAX)));
        // All of it takes less than a millisecond, after which the others would say that they wait.
        group.set_pace(2);
        let second = |letter: &Letter| {
            matches!(letter.message::<Fast>(), Some(Message::Bind { phase: Phase::Two, .. }))
        };
        let first = Group::<Fast>::owner(ahead);
        group.set_adversary(Script(holding(move |from, to, letter| {
            from != to && to != first && second(letter)
        })));
        take_all(&mut group);
        for (party, payload) in [(one, "first"), (ahead, "passed over")] {
            submit(&mut group, party, payload);
            group.run();
        }
        // Time passes, and frames are held back.
        (0..100).for_each(|_| take_all(&mut group));
        group.run();
        assert_eq!(delivered(group.outputs(ahead)).len(), 1);
        assert_eq!(delivered(group.outputs(one)).len(), 0);
        group.set_adversary(Random);
        group.run();
        assert_eq!(delivered(group.outputs(one)).len(), 2, "nobody waits alone");
        oracle::no_slander(&group).unwrap();
    });
}

/// A group, with a clock for every other seed, whose leader tells one member nothing.
fn told_to_two(seed: u64) -> Group<Fast> {
    let impatience = seed.is_multiple_of(2).then(|| Span::millis(200));
    let group: Group<Fast> = group(4, seed, Spec { impatience, ..Spec::default() });
    group.corrupt(p(0), Withhold::from_all_but([p(1), p(2)]))
}

/// A leader that tells one member nothing, and submits something itself: that member has neither the cut
/// nor the batch, only the binds of the others, who need nothing of it.
#[test]
fn one_to_whom_a_leader_tells_nothing_comes_level_in_a_group_at_rest() {
    property(8, |seed| {
        let (leader, last) = (p(0), p(3));
        let mut group = told_to_two(seed);
        take_all(&mut group);
        for count in 1..4 {
            submit(&mut group, leader, "x");
            group.run();
            for party in [p(1), p(2), last] {
                assert_eq!(delivered(group.outputs(party)).len(), count, "{party}");
            }
        }
        oracle::no_slander(&group).unwrap();
    });
}

/// Members need not keep as much as each other: with one that keeps what comes next, one that does not,
/// and a liar that says nothing, it is neither told nor gone by the word of two.
#[test]
fn one_who_is_told_by_too_few_and_refused_by_too_few_says_that_it_is_behind() {
    property(8, |seed| {
        let (liar, last) = (p(0), p(3));
        let impatience = (seed % 2 == 0).then(|| Span::millis(200));
        let mut group: Group<Fast> = seated(4, seed, |party| {
            let items_kept = if party == p(1) { 2 } else { Spec::default().items_kept };
            Spec { items_kept, impatience, ..Spec::default() }
        });
        group = group.corrupt(liar, Withhold::from_all_but([p(1), p(2)]));
        group.set_adversary(Script(without::<Fast>(last)));
        take_all(&mut group);
        for at in 0..120 {
            submit(&mut group, p(1 + at % 2), &format!("{at}"));
            group.run();
        }
        let behind = |group: &Group<Fast>| group.outputs(last).contains(&Output::Behind);
        assert!(!behind(&group) && delivered(group.outputs(p(2))).len() == 120);
        group.set_adversary(Random);
        group.run();
        let level = delivered(group.outputs(last)).len() == 120;
        assert!(level || behind(&group), "it waits for what nobody tells");
        let end = ends(group.outputs(p(1))).pop().unwrap();
        group.input(last, Input::Resume { position: end });
        submit(&mut group, last, "back again");
        group.run();
        let slot = |party| ends(group.outputs(party)).last().map(|end| end.slot);
        assert_eq!((slot(p(1)), slot(last)), (Some(Slot::new(121)), Some(Slot::new(121))));
    });
}

/// What a member said while it waited is lost, when it has said it for the last time: it says it again,
/// since the one to whom it was said hears of the loss.
#[test]
fn one_whose_signs_are_lost_comes_level_in_a_group_at_rest() {
    property(8, |seed| {
        let (leader, last) = (p(0), p(3));
        let mut group = told_to_two(seed);
        let [one, from] = [p(1), last].map(Group::<Fast>::owner);
        group.set_adversary(Script(holding(move |who, to, _| who == from && to == one)));
        take_all(&mut group);
        submit(&mut group, leader, "x");
        group.run();
        assert!(
            delivered(group.outputs(last)).is_empty() && delivered(group.outputs(p(1))).len() == 1
        );
        group.lose(from, one);
        group.set_adversary(Random);
        group.run();
        assert_eq!(delivered(group.outputs(last)).len(), 1);
    });
}

/// One who left alone goes on being told, however long the others stay.
#[test]
fn one_who_left_alone_is_told_all_that_the_others_order() {
    property(4, |seed| {
        let (leader, last) = (p(0), p(3));
        let mut group: Group<Fast> = seated(4, seed, |party| {
            let patience = if party == last { 1 } else { Spec::default().patience };
            Spec { patience, impatience: None, ..Spec::default() }
        });
        group = group.corrupt(leader, Withhold::from_all_but([p(1), p(2)]));
        let stalls = Group::<Fast>::owner(leader);
        group.set_adversary(Script(holding(move |from, _, _| from == stalls)));
        take_all(&mut group);
        submit(&mut group, p(1), "first");
        let mut left = false;
        group.run_while(|world| {
            let leaves =
                |letter: &Letter| matches!(letter.message::<Fast>(), Some(Message::Leave { .. }));
            let pool = world.pool();
            left |= (0..pool.queues()).any(|queue| leaves(&pool.head(queue).letter));
            !left
        });
        assert!(left, "the last one leaves");
        group.set_adversary(Random);
        for count in 1..80 {
            group.run();
            for party in [p(1), p(2), last] {
                assert_eq!(delivered(group.outputs(party)).len(), count, "{party}");
            }
            submit(&mut group, p(1 + count as u16 % 2), "more");
        }
        let end = ends(group.outputs(p(1))).pop().unwrap();
        assert_eq!(end.first, leader, "the others stayed");
    });
}

/// Says to one member only which items come up to a place.
#[derive(Clone, Debug)]
struct CutsUpTo(Round, Owner);

impl Behaviour for CutsUpTo {
    fn name(&self) -> &'static str {
        "cuts up to"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        let cut = |place: Round| place <= self.0;
        if frame.to != self.1
            || matches!(wire::decode(&frame.bytes), Ok(Message::Cut { place, .. }) if cut(place))
        {
            cx.send(frame);
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

/// Binds for a place that was too far when they came count as a word that there is something: a member
/// that comes to the place before it hears nothing else of it.
#[test]
fn one_for_whom_binds_came_too_early_comes_level_in_a_group_at_rest() {
    property(4, |seed| {
        let (leader, last) = (p(0), p(3));
        let mut group: Group<Fast> = group(4, seed, Spec::default());
        let [one, other, to] = [p(1), p(2), last].map(Group::<Fast>::owner);
        group = group.corrupt(leader, CutsUpTo(Round::new(64), to));
        // Nobody has waited for so long that it would say so.
        group.set_pace(0);
        group.set_adversary(Script(holding(move |from, at, _| at == to && from != to)));
        take_all(&mut group);
        for at in 1..=65 {
            submit(&mut group, if at < 65 { p(1) } else { leader }, &format!("{at}"));
            group.run();
        }
        assert_eq!(ends(group.outputs(p(1))).len(), 65);
        for silent in [[one, other], [other, other]] {
            group.set_adversary(Script(holding(move |from, at, _| {
                at == to && silent.contains(&from)
            })));
            group.run();
        }
        group.set_adversary(Random);
        group.run();
        assert_eq!(ends(group.outputs(last)).len(), 65);
    });
}
