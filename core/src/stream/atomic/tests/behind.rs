//! Parties that heard nothing for many rounds.

use super::*;
use crate::mail::Mail;

/// Lets nothing that others say reach `party`; what would have, is handed back.
fn starve(world: &mut Shuttle<Atomic>, party: usize) -> Vec<(usize, Mail<Atomic>)> {
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let (kept, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut world.pool)
            .into_iter()
            .partition(|(to, mail)| *to == party && matches!(mail, Mail::Frame { .. }));
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
        world.take(3, Mail::Missed { from: Peer::Member(p(peer)) });
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
        world.take(3, Mail::Missed { from: Peer::Member(p(peer)) });
    }
    world.run();
    assert!(world.outputs[3].contains(&Output::Behind));
    let checkpoint = ends(&world.outputs[0])[27];
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
