//! Links that lose frames while somebody is silent, so that everybody else is needed.

use super::*;
use crate::mail::{Mail, Notice};

/// Delivers everything, but loses what `lost` says.
fn lose(world: &mut Shuttle<Atomic>, lost: impl Fn(usize, PartyId) -> bool) {
    for _ in 0..1_000 {
        let pool = std::mem::take(&mut world.pool);
        if pool.is_empty() {
            return;
        }
        for (to, mail) in pool {
            let from = match &mail {
                Mail::Frame { from, .. } => from.member(),
                _ => None,
            };
            if from.is_none_or(|from| !lost(to, from)) {
                world.take(to, mail);
            }
        }
    }
    panic!("does not come to rest");
}

fn missed(world: &mut Shuttle<Atomic>, party: usize, from: u16) {
    world.take(party, Mail::Notice(Notice::Missed { from: Peer::Member(p(from)) }));
}

/// p3 loses everything for so many rounds; p0 falls silent in the next, which needs the other three.
fn needs_one_who_is_behind(rounds: usize) -> Shuttle<Atomic> {
    let mut world = world(4, 8);
    for _ in 0..rounds {
        submit(&mut world, 0, &["x"]);
        lose(&mut world, |to, _| to == 3);
    }
    world.mute = vec![0];
    submit(&mut world, 1, &["needs three"]);
    lose(&mut world, |to, _| to == 3);
    (0..3).for_each(|peer| missed(&mut world, 3, peer));
    world
}

#[test]
fn one_who_is_told_of_a_loss_however_far_behind_takes_part() {
    for rounds in [3, 8, 9, 20, 30] {
        let mut world = needs_one_who_is_behind(rounds);
        world.run();
        for party in 1..4 {
            let count = delivered(&world.outputs[party]).len();
            assert_eq!(count, rounds + 1, "p{party}, {rounds} rounds behind");
        }
    }
}

#[test]
fn a_question_that_is_lost_too_is_asked_again() {
    let mut world = needs_one_who_is_behind(3);
    world.pool.clear();
    (1..3).for_each(|party| missed(&mut world, party, 3));
    world.run();
    for party in 1..4 {
        assert_eq!(delivered(&world.outputs[party]).len(), 4, "p{party}");
    }
}

#[test]
fn a_full_batch_that_is_lost_again_and_again_comes_in_the_end() {
    let large = "x".repeat(PAYLOAD_MAX - 64);
    for losses in [1, 5, 7] {
        let mut world = world(4, 3);
        world.mute = vec![0];
        submit(&mut world, 1, &[&large, &large, &large, &large]);
        for _ in 0..losses {
            lose(&mut world, |to, from| to == 3 && from == p(1));
            missed(&mut world, 3, 1);
        }
        world.run();
        assert_eq!(delivered(&world.outputs[3]).len(), 4, "after {losses} losses");
    }
}

#[test]
fn who_fetches_again_and_again_is_answered_so_often() {
    let mut world = world(4, 3);
    for _ in 0..10 {
        submit(&mut world, 0, &["x"]);
        world.run();
    }
    let message = Message::Fetch { from: Round::FIRST, to: Round::new(8) };
    let mut atomic = world.trees[0].root().clone();
    let mut told = 0;
    for _ in 0..1_000 {
        let mut fx = Effects::new(&world.seats[0]);
        let message = message.clone();
        atomic.step(Event::Message { from: Peer::Member(p(3)), message }, &mut fx);
        told += fx.list().iter().filter(|effect| matches!(effect, Effect::Send { .. })).count();
    }
    assert_eq!(told, 64);
}
