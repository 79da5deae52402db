use super::*;
use crate::{
    effects::{Effect, To},
    shuttle::{Shuttle, p, seat},
};

type World = Shuttle<Binary>;

const SPEC: Spec = Spec::biased_to(true);

fn world(n: u16, seed: u64, bits: &[bool]) -> World {
    let mut world = World::new(n, seed, SPEC);
    for (party, bit) in bits.iter().enumerate() {
        world.input(party, Input::Propose(*bit));
    }
    world
}

/// What the first `count` parties decided: all of them, once.
fn decisions(world: &World, count: usize) -> Vec<(bool, Round)> {
    let one = |all: &Vec<Output>| match all.as_slice() {
        [Output::Decided { value, round }] => (*value, *round),
        other => panic!("{other:?} is not one decision"),
    };
    world.outputs[..count].iter().map(one).collect()
}

/// The bits of `n` that are set in `pattern`.
fn bits(n: u16, pattern: u32) -> Vec<bool> {
    (0..n).map(|party| pattern >> party & 1 == 1).collect()
}

#[test]
fn all_decide_one_proposed_bit_and_come_to_rest() {
    for n in [1, 4, 5, 7] {
        for seed in 0..40_u32 {
            let proposals = bits(n, seed.wrapping_mul(2_654_435_761) >> 7);
            let mut world = world(n, seed.into(), &proposals);
            world.run();
            let decisions = decisions(&world, n.into());
            assert!(decisions.iter().all(|(bit, _)| *bit == decisions[0].0), "n={n} seed={seed}");
            assert!(proposals.contains(&decisions[0].0), "n={n} seed={seed}");
            let at_rest =
                |tree: &crate::tree::Tree<Binary>| tree.root().stopped && tree.instances() == 1;
            assert!(world.trees.iter().all(at_rest), "n={n} seed={seed}");
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn f_silent_parties_hold_nothing_up() {
    for seed in 0..100_u32 {
        for n in [4_u16, 7] {
            let mut world = World::new(n, seed.into(), SPEC);
            let f = usize::from((n - 1) / 3);
            world.mute = (0..f).collect();
            for (party, bit) in bits(n, seed).into_iter().enumerate().skip(f) {
                world.input(party, Input::Propose(bit));
            }
            world.run();
            let all = decisions(&world, n.into());
            assert!(all.iter().all(|(bit, _)| *bit == all[0].0), "n={n} seed={seed}");
        }
    }
}

#[test]
fn agreement_at_the_start_costs_no_coin() {
    for (bit, round) in [(true, 0), (false, 1)] {
        let mut world = world(4, 11, &[bit; 4]);
        world.run();
        assert!(decisions(&world, 4).iter().all(|one| *one == (bit, Round::new(round))));
    }
}

#[test]
fn a_party_that_never_spoke_decides_with_the_others() {
    for seed in 0..50 {
        let mut world = world(4, seed, &[true, false, true]);
        world.run();
        let all = decisions(&world, 4);
        assert!(all.iter().all(|(bit, _)| *bit == all[0].0), "seed={seed}");
        world.input(3, Input::Propose(!all[0].0));
        world.run();
        assert_eq!(decisions(&world, 4), all);
    }
}

/// What one step of party 1 of four leaves.
fn step(binary: &mut Binary, from: u16, message: Message) -> Vec<Effect<Binary>> {
    let seat = seat(4, 1);
    let mut fx = Effects::new(&seat);
    binary.step(Event::Message { from: Peer::Member(p(from)), message }, &mut fx);
    fx.into_list()
}

/// Party 1 of four, which has proposed 1.
fn begun() -> Binary {
    let seat = seat(4, 1);
    let mut binary = Binary::new(&seat, SPEC);
    let mut fx = Effects::new(&seat);
    binary.step(Event::Input(Input::Propose(true)), &mut fx);
    assert_eq!(fx.list(), [say(Message::Estimate { round: Round::FIRST, value: true })]);
    binary
}

fn say(message: Message) -> Effect<Binary> {
    Effect::Send { to: To::Everyone, message }
}

#[test]
fn a_confirm_tells_of_auxiliaries_not_of_what_is_accepted() {
    let round = Round::FIRST;
    let estimate = |value| Message::Estimate { round, value };
    let auxiliary = |value| Message::Auxiliary { round, value };
    let mut binary = begun();
    assert_eq!(step(&mut binary, 1, estimate(true)), []);
    assert_eq!(step(&mut binary, 0, estimate(true)), []);
    assert_eq!(step(&mut binary, 2, estimate(true)), [say(auxiliary(true))], "accepted at 2f + 1");
    assert_eq!(step(&mut binary, 0, estimate(false)), []);
    assert_eq!(step(&mut binary, 2, estimate(false)), [say(estimate(false))], "relayed at f + 1");
    assert_eq!(step(&mut binary, 3, estimate(false)), [], "0 is accepted too");
    assert_eq!(binary.rounds[&round].accepted, BoolSet::BOTH);
    for from in [0, 1] {
        assert_eq!(step(&mut binary, from, auxiliary(true)), []);
    }
    let values = BoolSet::of(true);
    assert_eq!(step(&mut binary, 2, auxiliary(true)), [say(Message::Confirm { round, values })]);
    let confirm = |values| Message::Confirm { round, values };
    assert_eq!(step(&mut binary, 0, confirm(values)), []);
    assert_eq!(step(&mut binary, 1, confirm(values)), []);
    let fx = step(&mut binary, 3, confirm(BoolSet::BOTH));
    let next = Message::Estimate { round: Round::new(1), value: true };
    assert_eq!(fx, [say(next)], "the union of the confirms decides nothing here");
}

#[test]
fn what_is_not_accepted_does_not_count() {
    let round = Round::FIRST;
    let mut binary = begun();
    for from in [0, 1, 2] {
        step(&mut binary, from, Message::Estimate { round, value: true });
    }
    for from in [0, 1, 3] {
        step(&mut binary, from, Message::Auxiliary { round, value: from != 3 });
    }
    assert_eq!(binary.rounds[&round].confirmed, None, "0 was said by f parties");
    step(&mut binary, 2, Message::Auxiliary { round, value: true });
    assert_eq!(binary.rounds[&round].confirmed, Some(BoolSet::of(true)));
    for from in [0, 1] {
        step(&mut binary, from, Message::Confirm { round, values: BoolSet::of(true) });
    }
    step(&mut binary, 3, Message::Confirm { round, values: BoolSet::BOTH });
    assert_eq!(binary.rounds[&round].outcome, None, "0 is still not accepted");
}

#[test]
fn two_votes_and_empty_votes_are_named_and_do_not_count() {
    let round = Round::new(3);
    let mut binary = begun();
    for message in [
        Message::Auxiliary { round, value: true },
        Message::Confirm { round, values: BoolSet::BOTH },
        Message::Finish { value: true, round: Some(round) },
    ] {
        assert_eq!(step(&mut binary, 3, message), []);
    }
    let before = binary.clone();
    for message in [
        Message::Auxiliary { round, value: false },
        Message::Confirm { round, values: BoolSet::of(true) },
        Message::Finish { value: false, round: None },
        Message::Finish { value: true, round: Some(Round::FIRST) },
    ] {
        let fx = step(&mut binary, 3, message);
        let named =
            matches!(fx.as_slice(), [Effect::Accuse { fault: Fault::Equivocated { .. }, .. }]);
        assert!(named, "{message:?}: {fx:?}");
    }
    assert_eq!(binary, before);
    let empty = Message::Confirm { round, values: BoolSet::EMPTY };
    assert!(Binary::admit(&seat(4, 1), Peer::Member(p(3)), &empty).is_err());
}

#[test]
fn what_a_peer_can_make_us_hold_is_bounded() {
    let mut binary = begun();
    for number in [WINDOW + 1, u64::MAX] {
        let fx =
            step(&mut binary, 3, Message::Auxiliary { round: Round::new(number), value: true });
        assert!(matches!(fx.as_slice(), [Effect::Accuse { fault: Fault::Flooded(_), .. }]));
    }
    for number in 0..=WINDOW {
        step(&mut binary, 3, Message::Auxiliary { round: Round::new(number), value: true });
    }
    assert_eq!(binary.rounds.len() as u64, WINDOW + 1);
    let seat = seat(4, 1);
    let early = |number: u64| binary.early(&seat, Role::Coin.at(number));
    assert_eq!([early(1), early(2), early(WINDOW + 1)], [Early::Never, Early::Wait, Early::Beyond]);
    assert_eq!(binary.early(&seat, Role::Vote.only()), Early::Never);
}

#[test]
fn a_finish_stands_for_the_votes_of_later_rounds_only() {
    let mut binary = begun();
    let (first, second) = (Round::FIRST, Round::new(1));
    step(&mut binary, 0, Message::Estimate { round: second, value: false });
    step(&mut binary, 3, Message::Finish { value: false, round: None });
    assert_eq!(
        binary.tallies(second).supporters(false),
        1,
        "without a round it stands for nothing"
    );
    step(&mut binary, 3, Message::Finish { value: false, round: Some(first) });
    assert_eq!(binary.tallies(first).supporters(false), 0);
    for round in [second, Round::new(2)] {
        let tallies = binary.tallies(round);
        assert_eq!(tallies.supporters(false), if round == second { 2 } else { 1 });
    }
}

#[test]
fn f_finishes_decide_nothing_and_one_more_decides() {
    let mut binary = begun();
    let finish = Message::Finish { value: false, round: Some(Round::FIRST) };
    assert_eq!(step(&mut binary, 3, finish), []);
    let fx = step(&mut binary, 0, finish);
    let decided = Output::Decided { value: false, round: Round::FIRST };
    let told = Message::Finish { value: false, round: None };
    assert_eq!(fx, [say(told), Effect::Output(decided)]);
    assert!(!binary.stopped && binary.decided == Some(false));
    step(&mut binary, 2, finish);
    assert!(binary.stopped && binary.rounds.is_empty());
    assert_eq!(step(&mut binary, 2, Message::Estimate { round: Round::FIRST, value: true }), []);
}
