use super::*;
use crate::{
    broadcast::consistent::Message as Said,
    crypto::{Certificate, Digest},
    mail::Mail,
    path::InstanceId,
    shuttle::{Shuttle, p},
    wire,
};

/// Anything but the word `bad` may be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NotBad;

impl Predicate for NotBad {
    type Proof = Bytes;

    fn holds(&self, _: &Seat, value: &Bytes) -> bool {
        value != "bad"
    }
}

type Array = Multivalued<NotBad>;

fn spec(first: u16) -> Spec<NotBad> {
    Spec { first: p(first), predicate: NotBad, limit: 100 }
}

fn value(party: usize) -> Bytes {
    format!("proposal of p{party}").into()
}

/// Lets the users approve what they are offered until nothing happens any more.
fn run(world: &mut Shuttle<Array>) {
    let mut seen = vec![0; world.outputs.len()];
    loop {
        world.run();
        let mut quiet = true;
        for (party, seen) in seen.iter_mut().enumerate() {
            let offers: Vec<_> = world.outputs[party][*seen..]
                .iter()
                .filter_map(|output| match output {
                    Output::Offered { from, .. } => Some(*from),
                    Output::Decided { .. } => None,
                })
                .collect();
            *seen = world.outputs[party].len();
            quiet &= offers.is_empty();
            offers.into_iter().for_each(|from| world.input(party, Input::Approve(from)));
        }
        if quiet {
            return;
        }
    }
}

fn decisions(world: &Shuttle<Array>) -> Vec<Vec<(PartyId, Bytes)>> {
    let decided = |output: &Output| match output {
        Output::Decided { from, value } => Some((*from, value.clone())),
        Output::Offered { .. } => None,
    };
    world.outputs.iter().map(|all| all.iter().filter_map(decided).collect()).collect()
}

/// The one decision that all parties but `absent` took.
fn decision(world: &Shuttle<Array>, absent: &[usize]) -> (PartyId, Bytes) {
    let mut decisions = decisions(world);
    for party in absent.iter().rev() {
        decisions.remove(*party);
    }
    assert!(decisions.iter().all(|all| all.len() == 1), "{decisions:?}");
    assert!(decisions.iter().all(|all| *all == decisions[0]), "{decisions:?}");
    decisions[0][0].clone()
}

#[test]
fn one_of_the_proposals_is_decided_by_all() {
    for n in [1, 4, 5, 7] {
        for seed in 0..20 {
            let mut world = Shuttle::<Array>::new(n, seed, spec(0));
            (0..usize::from(n)).for_each(|party| world.input(party, Input::Propose(value(party))));
            run(&mut world);
            let (from, decided) = decision(&world, &[]);
            assert_eq!(decided, value(from.index()));
            assert_eq!(world.faults, [], "n={n} seed={seed}");
        }
    }
}

#[test]
fn when_the_first_candidate_is_here_no_coin_is_tossed() {
    let mut world = Shuttle::<Array>::new(4, 3, spec(2));
    world.input(2, Input::Propose(value(2)));
    run(&mut world);
    assert_eq!(decision(&world, &[]), (p(2), value(2)), "others need not even propose");
    let tree = &world.trees[0];
    assert!(tree.inline().all(|(_, kind)| kind.0 != "coin"));
}

#[test]
fn a_silent_first_candidate_is_passed_over() {
    for n in [4, 5, 7] {
        let silent = usize::from((n - 1) / 3);
        for seed in 0..20 {
            let mut world = Shuttle::<Array>::new(n, seed, spec(0));
            world.mute = (0..silent).collect();
            (0..usize::from(n)).for_each(|party| world.input(party, Input::Propose(value(party))));
            run(&mut world);
            let (from, decided) = decision(&world, &world.mute);
            assert!(from.index() >= silent, "n={n} seed={seed}");
            assert_eq!(decided, value(from.index()));
        }
    }
}

#[test]
fn what_is_not_approved_is_not_decided() {
    let mut world = Shuttle::<Array>::new(4, 9, spec(0));
    world.input(0, Input::Propose(value(0)));
    world.run();
    assert_eq!(decisions(&world), vec![vec![]; 4]);
    assert!(
        world
            .outputs
            .iter()
            .all(|all| { *all == [Output::Offered { from: p(0), value: value(0) }] })
    );
}

#[test]
fn what_breaks_the_predicate_is_not_even_offered() {
    let mut world = Shuttle::<Array>::new(4, 1, spec(3));
    world.mute = vec![3];
    let id = world.seats[0].id.child(Role::Proposal.at(p(3)));
    for to in 0..3 {
        let bytes = wire::encode(&Said::Initial("bad".into()));
        let from = Peer::Member(p(3));
        world.pool.push((to, Mail::Frame { from, instance: id.clone(), bytes }));
        world.input(to, Input::Propose(value(to)));
    }
    run(&mut world);
    assert!(decision(&world, &[3]).0 != p(3));
    let accusers = world.faults.iter().filter(|(_, peer, _)| *peer == Peer::Member(p(3)));
    assert_eq!(accusers.count(), 3);
}

#[test]
fn a_closing_counts_for_its_own_proposal_only() {
    let world = Shuttle::<Array>::new(4, 1, spec(0));
    let seat = |party: usize| &world.seats[party];
    let sign = |id: &InstanceId, payload: &Bytes| {
        let digest = Digest::of("broadcast", payload);
        let shares: Vec<_> = (0..3)
            .map(|party| (p(party), seat(party.into()).keys.quorum.share(&id.tag("echo"), &digest)))
            .collect();
        let certificate = seat(0).keys.quorum.combine(&id.tag("echo"), &digest, &shares).unwrap();
        Closing { payload: payload.clone(), certificate }
    };
    let turn = seat(0).child(Role::Vote.at(Turn::FIRST));
    let of = |party: u16| seat(0).id.child(Role::Proposal.at(p(party)));
    let closing = sign(&of(1), &value(1));
    let candidate = |party: u16| Closed { candidate: p(party) };
    assert!(candidate(1).judge(&turn, &closing));
    assert!(!candidate(2).judge(&turn, &closing), "another party's");
    let other = InstanceId::reopened(turn.id.of().group, turn.id.of().epoch, "test", 1);
    let replayed = sign(&other.child(Role::Proposal.at(p(1))), &value(1));
    assert!(!candidate(1).judge(&turn, &replayed), "another instance's");
    let changed = Closing { payload: value(2), ..closing.clone() };
    assert!(!candidate(1).judge(&turn, &changed));
    let empty = Closing { certificate: Certificate(Bytes::new()), ..closing };
    assert!(!candidate(1).judge(&turn, &empty), "nobody signed");
}

/// An agreement in turn 1 with the order p0, p1, .., in which `committed` is what each party committed
/// to, and this party has proposals of p1 and p2.
fn voting(world: &Shuttle<Array>, committed: &[&[u16]]) -> Array {
    let mut array = Array::new(&world.seats[0], spec(3));
    array.turn = Turn::new(1);
    array.order = PartyId::all(4).collect();
    for (party, members) in committed.iter().enumerate() {
        let members = members.iter().map(|member| p(*member)).collect();
        array.commits.insert(p(party as u16), members);
    }
    array
}

fn says(array: &mut Array, world: &Shuttle<Array>, from: u16, closing: Option<Closing>) -> bool {
    let mut fx = Effects::new(&world.seats[0]);
    array.on_vote(p(from), array.turn, closing, &mut fx);
    let accused = |effect: &crate::effects::Effect<Array>| {
        matches!(effect, crate::effects::Effect::Accuse { .. })
    };
    fx.list().iter().any(accused)
}

#[test]
fn votes_for_turns_to_come_take_little_room() {
    let world = Shuttle::<Array>::new(4, 1, spec(0));
    let mut array = Array::new(&world.seats[0], spec(3));
    for turn in 1..=8 {
        let mut fx = Effects::new(&world.seats[0]);
        let certificate = Certificate(vec![0; 1 << 20].into());
        let closing = Some(Closing { payload: value(1), certificate });
        array.on_vote(p(3), Turn::new(turn), closing, &mut fx);
        assert_eq!(fx.list().len(), 1, "the voter is accused");
    }
    assert!(wire::encode(&array).len() < 1_000);
}

#[test]
fn a_no_against_the_own_commitment_does_not_count() {
    let world = Shuttle::<Array>::new(4, 1, spec(0));
    let mut array = voting(&world, &[&[1, 2, 3], &[1, 2, 3], &[0, 1, 2]]);
    assert!(!says(&mut array, &world, 0, None));
    assert!(says(&mut array, &world, 2, None), "p2 had committed to p0");
    assert!(!says(&mut array, &world, 2, None), "it is not heard any more");
    assert!(!says(&mut array, &world, 3, None), "its vector is not here: its vote waits");
    assert!(!says(&mut array, &world, 1, None));
    assert!(array.said.is_none(), "two proper votes are not n - f");
    array.commits.insert(p(3), [p(1), p(2), p(3)].into());
    array.try_turn(&mut Effects::new(&world.seats[0]));
    assert_eq!(array.said, Some(false));
}

#[test]
fn a_yes_without_its_closing_does_not_count() {
    let world = Shuttle::<Array>::new(4, 1, spec(0));
    let mut array = voting(&world, &[&[1, 2, 3]]);
    let forged = Closing { payload: value(0), certificate: Certificate(Bytes::new()) };
    assert!(says(&mut array, &world, 2, Some(forged.clone())));
    let large = Closing { payload: vec![0; 101].into(), ..forged };
    assert!(says(&mut array, &world, 3, Some(large)));
    assert!(array.votes[&array.turn].is_empty());
}

#[test]
fn nobody_votes_before_it_has_committed() {
    let world = Shuttle::<Array>::new(4, 1, spec(0));
    let seat = &world.seats[0];
    let mut array = Array::new(seat, spec(0));
    let mut asks = |heard: Heard| {
        let mut fx = Effects::new(seat);
        array.step(Event::Heard(heard), &mut fx);
        let order = |effect: &_| matches!(effect, crate::effects::Effect::Ask(Ask::Order));
        fx.list().iter().any(order)
    };
    let closing = |payload: Bytes| {
        consistent::Output::Delivered(Closing { payload, certificate: Certificate(Bytes::new()) })
    };
    asks(Heard::Vote(Turn::FIRST, validated::Output::Decided(None)));
    let vector = order::encode(&[p(1), p(2), p(3)].into(), 4);
    for party in 1..4 {
        assert!(!asks(Heard::Commit(p(party), closing(vector.clone()))), "others' vectors only");
    }
    assert!(!asks(Heard::Proposal(p(1), closing(value(1)))));
    assert!(!asks(Heard::Proposal(p(2), closing(value(2)))));
    assert!(asks(Heard::Proposal(p(3), closing(value(3)))), "commits, then asks for the order");
}

#[test]
fn votes_of_turns_that_cannot_be_are_not_admitted() {
    let seat = &Shuttle::<Array>::new(4, 1, spec(0)).seats[0];
    let judge = |turn: u64| {
        Array::admit(
            seat,
            Peer::Member(p(1)),
            &Message::Vote { turn: Turn::new(turn), closing: None },
        )
    };
    assert!(judge(0).is_err() && judge(9).is_err() && judge(u64::MAX).is_err());
    assert_eq!((judge(1), judge(8)), (Ok(()), Ok(())));
}

#[test]
fn vectors_and_orders_are_what_they_should_be() {
    let seat = &Shuttle::<Array>::new(5, 1, spec(0)).seats[0];
    let members = |numbers: &[u16]| numbers.iter().map(|number| p(*number)).collect();
    let vector: BTreeSet<_> = members(&[0, 1, 3, 4]);
    assert_eq!(order::decode(&order::encode(&vector, 5), seat), Some(vector));
    let few: BTreeSet<_> = members(&[0, 1, 4]);
    assert_eq!(order::decode(&order::encode(&few, 5), seat), None, "n - f are needed");
    for bytes in [&[0xff][..], &[], &[0x1f, 0], &[0x3f]] {
        assert_eq!(order::decode(bytes, seat), None, "{bytes:?}");
    }
    let mut firsts = BTreeMap::new();
    for toss in 0..1_000_u32 {
        let order = order::permutation(&Digest::of("toss", &toss.to_le_bytes()), 5);
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 5);
        *firsts.entry(order[0]).or_insert(0) += 1;
    }
    assert!(firsts.values().all(|count| (150..250).contains(count)), "{firsts:?}");
}
