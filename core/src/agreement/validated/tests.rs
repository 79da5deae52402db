use super::*;
use crate::shuttle::{Shuttle, p};

/// Even numbers are proofs, and 13 is bad luck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Even;

impl Predicate for Even {
    type Proof = u64;

    fn holds(&self, _: &Seat, proof: &u64) -> bool {
        assert_ne!(*proof, 13, "a predicate may fall over what liars send");
        proof.is_multiple_of(2)
    }
}

type World = Shuttle<Validated<Even>>;

fn propose(world: &mut World, proofs: &[Option<u64>]) {
    for (party, proof) in proofs.iter().enumerate() {
        world.input(party, Input::Propose(*proof));
    }
}

/// What the first `count` parties decided: all of them, once.
fn decisions(world: &World, count: usize) -> Vec<Option<u64>> {
    let one = |all: &Vec<Output<u64>>| match all.as_slice() {
        [Output::Decided(proof)] => *proof,
        other => panic!("{other:?} is not one decision"),
    };
    world.outputs[..count].iter().map(one).collect()
}

#[test]
fn what_f_plus_one_prove_is_decided_with_a_proof() {
    for n in [4_u16, 5, 7] {
        let f = usize::from((n - 1) / 3);
        for seed in 0..30 {
            let mut world = World::new(n, seed, Even);
            world.mute = (usize::from(n) - f..usize::from(n)).collect();
            let proofs: Vec<_> =
                (0..usize::from(n)).map(|i| (i <= f).then_some(i as u64 * 2)).collect();
            propose(&mut world, &proofs);
            world.run();
            let decisions = decisions(&world, usize::from(n) - f);
            assert!(decisions.iter().all(|proof| proof.is_some_and(|proof| proof % 2 == 0)));
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn what_nobody_proves_is_not_decided() {
    for seed in 0..30 {
        let mut world = World::new(4, seed, Even);
        world.mute = vec![3];
        for to in 0..3 {
            world.forge(3, to, &Message::Propose(Some(if to == 0 { 13 } else { 7 })));
            world.forge(3, to, &Message::Propose(Some(9)));
        }
        propose(&mut world, &[None, None, None]);
        world.run();
        assert_eq!(decisions(&world, 3), [None; 3]);
        let by_correct = world.faults.iter().filter(|fault| fault.0 != p(3));
        let named: Vec<_> = by_correct.map(|fault| (fault.0, fault.1)).collect();
        assert_eq!(named.len(), 3, "judged once a party: {named:?}");
        assert!(named.iter().all(|(_, culprit)| *culprit == Peer::Member(p(3))));
    }
}

#[test]
fn one_decision_for_all_and_a_proof_with_it_when_few_prove() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut world = World::new(4, seed, Even);
        propose(&mut world, &[None, None, None, Some(8)]);
        world.run();
        let decisions = decisions(&world, 4);
        assert!(decisions.iter().all(|proof| *proof == decisions[0]), "seed={seed}");
        seen.insert(decisions[0]);
    }
    assert_eq!(seen, [None, Some(8)].into());
}

#[test]
fn a_proof_shown_to_one_reaches_all_that_decide_on_it() {
    let mut passed_on = 0;
    for seed in 0..100 {
        let mut world = World::new(4, seed, Even);
        world.mute = vec![3];
        world.forge(3, 1, &Message::Propose(Some(4)));
        propose(&mut world, &[None, None, None]);
        world.run();
        let decisions = decisions(&world, 3);
        assert!(decisions.iter().all(|proof| *proof == decisions[0]), "seed={seed}");
        passed_on += usize::from(decisions[2] == Some(4));
    }
    assert!(passed_on > 0, "never decided 1: the test shows nothing");
}

#[test]
fn late_users_change_nothing() {
    let mut world = World::new(4, 9, Even);
    propose(&mut world, &[Some(2), Some(4), Some(6)]);
    world.run();
    assert!(decisions(&world, 4).iter().all(Option::is_some), "party 3 was told before it spoke");
    propose(&mut world, &[None, None, None, None]);
    world.run();
    assert_eq!(decisions(&world, 4).len(), 4);
}

#[test]
#[should_panic(expected = "the user proposes what holds")]
fn a_user_that_proposes_nonsense_is_wrong() {
    World::new(4, 0, Even).input(0, Input::Propose(Some(3)));
}
