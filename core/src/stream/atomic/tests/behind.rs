//! Parties that heard nothing for many rounds.

use super::*;
use crate::{
    mail::{Mail, Notice},
    path::InstanceId,
};

/// Lets nothing that others say reach `party`; what would have, is handed back.
fn starve(world: &mut Shuttle<Atomic>, party: usize) -> Vec<(usize, Mail<Atomic>)> {
    starve_of(world, party, |_| true)
}

/// The same with the frames for some instances only.
fn starve_of(
    world: &mut Shuttle<Atomic>,
    party: usize,
    these: impl Fn(&InstanceId) -> bool,
) -> Vec<(usize, Mail<Atomic>)> {
    let is_held = |(to, mail): &(usize, Mail<Atomic>)| match mail {
        Mail::Frame { instance, .. } => *to == party && these(instance),
        _ => false,
    };
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let (kept, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut world.pool).into_iter().partition(is_held);
        held.extend(kept);
        if rest.is_empty() {
            return held;
        }
        for (to, mail) in rest {
            world.take(to, mail);
        }
    }
    panic!("does not come to rest");
}

#[test]
fn one_who_was_starved_catches_up_from_what_others_keep() {
    for seed in 0..5 {
        let mut world = world(4, seed);
        let mut held = Vec::new();
        for count in 0..30 {
            submit(&mut world, count % 3, &[&format!("{count}")]);
            held.extend(starve(&mut world, 3));
        }
        assert!(delivered(&world.outputs[3]).is_empty());
        submit(&mut world, 3, &["mine"]);
        world.pool.extend(held);
        world.run();
        assert_eq!(delivered(&world.outputs[3]), delivered(&world.outputs[0]), "seed={seed}");
        assert_eq!(delivered(&world.outputs[0]).len(), 31);
    }
}

#[test]
fn one_whose_frames_are_lost_catches_up_when_told_so() {
    let mut world = world(4, 8);
    for count in 0..30 {
        submit(&mut world, count % 3, &[&format!("{count}")]);
        drop(starve(&mut world, 3));
    }
    for peer in 0..3 {
        world.take(3, Mail::Notice(Notice::Missed { from: Peer::Member(p(peer)) }));
    }
    world.run();
    assert_eq!(delivered(&world.outputs[3]), delivered(&world.outputs[0]));
    submit(&mut world, 3, &["mine"]);
    world.run();
    assert_eq!(delivered(&world.outputs[0]).len(), 31);
    assert_eq!(delivered(&world.outputs[3]).len(), 31);
}

#[test]
fn one_who_is_too_far_behind_resumes_from_a_checkpoint() {
    let spec = Spec { rounds_kept: 5, ..Spec::default() };
    let mut world = world_that_keeps(4, 6, spec);
    submit(&mut world, 3, &["in doubt"]);
    world.pool.clear();
    for count in 0..30 {
        submit(&mut world, count % 3, &[&format!("{count}")]);
        drop(starve(&mut world, 3));
    }
    assert!(world.trees[0].root().rounds.len() <= 6 + WINDOW as usize);
    for peer in 0..3 {
        world.take(3, Mail::Notice(Notice::Missed { from: Peer::Member(p(peer)) }));
    }
    world.run();
    assert!(world.outputs[3].contains(&Output::Behind));
    let checkpoint = ends(&world.outputs[0])[27].clone();
    world.input(3, Input::Resume { position: checkpoint });
    let unsure = Output::Unsure { batch: Batch::of(["in doubt"]) };
    assert!(world.outputs[3].contains(&unsure));
    world.run();
    submit(&mut world, 3, &["mine"]);
    world.run();
    let all = delivered(&world.outputs[0]);
    assert_eq!(all.len(), 31);
    let firsts = world.outputs[3].iter().filter_map(|output| match output {
        Output::Deliver { first, .. } => Some(first.number()),
        _ => None,
    });
    assert_eq!(firsts.collect::<Vec<_>>(), [28, 29, 30]);
    assert_eq!(ends(&world.outputs[3]).last(), ends(&world.outputs[0]).last());
}

/// Whether a frame is of an agreement.
fn is_of_agreement(instance: &InstanceId) -> bool {
    !instance.path().is_empty()
}

/// One of four is silent, and one lost what was said in the agreement: the other two need it.
#[test]
fn one_who_lost_frames_of_the_round_under_way_takes_part_in_it() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        world.mute = vec![0];
        submit(&mut world, 1, &["needs three"]);
        let lost = starve_of(&mut world, 3, is_of_agreement);
        assert!(lost.len() > 2 && delivered(&world.outputs[1]).is_empty());
        world.run();
        assert!(delivered(&world.outputs[1]).is_empty(), "it is waited for");
        for peer in 1..3 {
            world.take(3, Mail::Notice(Notice::Missed { from: Peer::Member(p(peer)) }));
        }
        world.run();
        for party in 1..4 {
            assert_eq!(delivered(&world.outputs[party]).len(), 1, "seed={seed}");
        }
        assert!(world.faults.is_empty(), "{:?}", world.faults);
    }
}

/// The same when the frames were not lost, but came before it knew that the group is so far.
#[test]
fn one_who_dropped_frames_of_the_round_under_way_takes_part_in_it() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        let mut held = Vec::new();
        for count in 0..20 {
            submit(&mut world, count % 3, &[&format!("{count}")]);
            held.extend(starve(&mut world, 3));
        }
        submit(&mut world, 1, &["needs three"]);
        let mut last = Vec::new();
        for _ in 0..3 {
            // All have announced and proposed when one of them falls silent.
            let next = world.pool.iter().position(|(to, _)| *to != 3).unwrap();
            let (to, mail) = world.pool.remove(next);
            world.take(to, mail);
        }
        world.mute = vec![0];
        last.extend(starve(&mut world, 3));
        let (early, late): (Vec<_>, Vec<_>) = last.into_iter().partition(
            |(_, mail)| matches!(mail, Mail::Frame { instance, .. } if is_of_agreement(instance)),
        );
        for (to, mail) in early.into_iter().chain(held).chain(late) {
            world.take(to, mail);
        }
        world.run();
        for party in 1..4 {
            assert_eq!(delivered(&world.outputs[party]).len(), 21, "seed={seed}");
        }
        assert!(world.faults.is_empty(), "{:?}", world.faults);
    }
}

#[test]
fn who_asks_again_and_again_is_answered_so_often() {
    let mut world = world(4, 1);
    world.mute = vec![0];
    submit(&mut world, 1, &["x"]);
    drop(starve_of(&mut world, 3, is_of_agreement));
    let mut answers = || {
        let round = world.trees[1].root().position().round;
        world.forge(3, 1, &Message::Recall { round, announced: false, back: true });
        world.deliver(|(to, _)| *to == 1);
        std::mem::take(&mut world.pool).len()
    };
    assert!(answers() >= 2, "its batch, and its part in the agreement");
    for _ in 0..80 {
        answers();
    }
    assert_eq!(answers(), 0);
}
