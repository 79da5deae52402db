//! All epochs of four members, one of them corrupted, with one or two places and two values at each.
//!
//! What correct members do is searched completely: binds, second binds, deliveries, bases, in any order,
//! with the liar helping or not at each; and one of them may come by a checkpoint. Then everybody leaves,
//! and every set of states that the liar can choose is resolved: the outcome must agree with all that
//! could be delivered, and the states of the correct members alone must resolve.

use std::collections::BTreeSet;

use super::*;

/// Values at each place.
const VALUES: u8 = 2;
/// Correct members; the fourth lies, and may lead.
const CORRECT: usize = 3;

/// A path: the value at each place.
type Way = Vec<u8>;

fn chain(way: &[u8]) -> Digest {
    Digest::of("way", way)
}

/// What one correct member did.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// What it bound itself to, place by place.
    bound: Way,
    /// For how many of its places it said the second bind.
    prepared: BTreeSet<usize>,
    /// What it delivered.
    delivered: Way,
    base: usize,
}

impl Member {
    fn went(&self, way: &[u8]) -> bool {
        self.bound.starts_with(way)
    }

    fn prepared(&self, way: &[u8]) -> bool {
        self.went(way) && self.prepared.contains(&way.len())
    }

    /// What it says when it leaves.
    fn state(&self) -> State {
        let (delivered, own) = (self.delivered.len(), &self.bound);
        let way = if own.starts_with(&self.delivered) { own } else { &self.delivered };
        let claim = |place: usize| Claim {
            chain: chain(&way[..place]),
            prepared: self.prepared(&way[..place]),
        };
        State {
            epoch: 0,
            floor: Round::new(self.base as u64),
            base: Round::new(self.base as u64),
            delivered: Round::new(delivered as u64),
            claims: (self.base..=way.len()).map(claim).collect(),
            lanes: Vec::new(),
        }
    }
}

/// What a member says that comes to the epoch by a checkpoint, and takes no part.
fn stranger(way: &[u8]) -> State {
    let (place, claim) =
        (Round::new(way.len() as u64), Claim { chain: chain(way), prepared: false });
    State {
        floor: Round::FIRST,
        base: place,
        delivered: place,
        claims: vec![claim],
        ..Member::default().state()
    }
}

type World = [Member; CORRECT];

/// How many members may seem to do what so many correct ones do.
fn with_liar(correct: usize) -> bool {
    correct + 1 >= 3
}

/// All that can happen next.
fn steps(world: &World, places: usize) -> Vec<World> {
    let mut next = Vec::new();
    for at in 0..CORRECT {
        let me = &world[at];
        let mut add = |change: &dyn Fn(&mut Member)| {
            let mut other = world.clone();
            change(&mut other[at]);
            next.push(other);
        };
        if me.bound.len() < places {
            (0..VALUES).for_each(|value| add(&|it| it.bound.push(value)));
        }
        for place in 1..=me.bound.len() {
            let way = &me.bound[..place];
            let bound = world.iter().filter(|other| other.went(way)).count();
            if with_liar(bound) && !me.prepared.contains(&place) {
                add(&|it| it.prepared.extend([place]));
            }
        }
        for value in 0..VALUES {
            let mut way = me.delivered.clone();
            way.push(value);
            let prepared = world.iter().filter(|other| other.prepared(&way)).count();
            if way.len() <= places && with_liar(prepared) {
                add(&|it| it.delivered.push(value));
            }
        }
        let passed = world.iter().filter(|other| other.delivered.len() > me.base).count();
        if me.base < me.delivered.len() && with_liar(passed) {
            add(&|it| it.base += 1);
        }
    }
    next
}

/// Everything that can be reached, up to the names of the correct members.
fn worlds(places: usize) -> BTreeSet<World> {
    let mut seen = BTreeSet::from([World::default()]);
    let mut open = vec![World::default()];
    while let Some(world) = open.pop() {
        for mut next in steps(&world, places) {
            next.sort();
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

/// All states that a liar may leave, but for chains that nobody knows: those back nothing.
fn lies(places: usize) -> Vec<State> {
    let mut ways = vec![Way::new()];
    for place in 0..places {
        let longer: Vec<_> = ways.iter().filter(|way| way.len() == place).cloned().collect();
        for way in longer {
            ways.extend((0..VALUES).map(|value| [way.clone(), vec![value]].concat()));
        }
    }
    let mut lies = Vec::new();
    for way in &ways {
        for base in 0..=way.len() {
            for delivered in base..=way.len() {
                let floors = BTreeSet::from([0, base]);
                for (prepared, floor) in (0..1_u8 << way.len())
                    .flat_map(|it| floors.iter().map(move |floor| (it, *floor)))
                {
                    let claim = |place: usize| Claim {
                        chain: chain(&way[..place]),
                        prepared: place > 0 && prepared >> (place - 1) & 1 == 1,
                    };
                    lies.push(State {
                        epoch: 0,
                        floor: Round::new(floor as u64),
                        base: Round::new(base as u64),
                        delivered: Round::new(delivered as u64),
                        claims: (base..=way.len()).map(claim).collect(),
                        lanes: Vec::new(),
                    });
                }
            }
        }
    }
    lies
}

/// The longest that anybody could deliver, before or after it left.
fn deliverable(world: &World, places: usize) -> Way {
    let mut way = Way::new();
    'place: while way.len() < places {
        for value in 0..VALUES {
            let longer = [way.clone(), vec![value]].concat();
            if with_liar(world.iter().filter(|member| member.prepared(&longer)).count()) {
                way = longer;
                continue 'place;
            }
        }
        break;
    }
    way
}

/// Whether the outcome goes through what could be delivered.
fn agrees(outcome: &Outcome, way: &[u8]) -> bool {
    let base = outcome.base.number() as usize;
    let end = outcome.end().number() as usize;
    end >= way.len()
        && (base.min(way.len())..=way.len())
            .all(|place| place < base || outcome.chains[place - base] == chain(&way[..place]))
}

/// What the correct members can say: one of them that did nothing may have come by any checkpoint.
fn said(world: &World, way: &[u8]) -> Vec<[State; CORRECT]> {
    let own = world.each_ref().map(Member::state);
    let mut all = vec![own.clone()];
    if let Some(at) = world.iter().position(|member| *member == Member::default()) {
        all.extend((0..=way.len()).map(|end| {
            let mut said = own.clone();
            said[at] = stranger(&way[..end]);
            said
        }));
    }
    all
}

/// Resolves everything that members and a liar can leave. Tells how many epochs were resolved.
fn search(places: usize) -> u64 {
    let (worlds, lies) = (worlds(places), lies(places));
    let mut resolved = 0;
    for world in &worlds {
        let way = deliverable(world, places);
        for said in said(world, &way) {
            resolved += resolve_all(&said, &lies, &way);
        }
    }
    resolved
}

/// The same of what the correct members say.
fn resolve_all(said: &[State; CORRECT], lies: &[State], way: &[u8]) -> u64 {
    let thresholds = Thresholds::asynchronous(4, 1).expect("4 > 3");
    let honest = |of: &[usize]| -> States {
        of.iter().map(|at| (PartyId::new(*at as u16), said[*at].clone())).collect()
    };
    let outcome = resolve(&honest(&[0, 1, 2]), thresholds);
    let outcome = outcome.unwrap_or_else(|| panic!("the correct ones do not resolve {said:?}"));
    assert!(agrees(&outcome, way), "{said:?} {outcome:?}");
    let mut resolved = 0;
    for of in [&[0, 1, 2][..], &[0, 1], &[0, 2], &[1, 2]] {
        let mut states = honest(of);
        for lie in lies {
            states.insert(PartyId::new(3), lie.clone());
            let outcome = resolve(&states, thresholds);
            assert!(outcome.is_some() || of.len() < 3, "a lie undoes it: {said:?} {lie:?}");
            if let Some(outcome) = outcome {
                resolved += 1;
                assert!(agrees(&outcome, way), "{said:?} {lie:?} {outcome:?}");
            }
        }
    }
    resolved
}

#[test]
fn every_epoch_of_four_members_and_one_place_ends_as_it_was_delivered() {
    assert!(search(1) > 1_000);
}

/// `cargo test --release -p maftia-core --lib resolve -- --ignored`
#[test]
#[ignore = "takes minutes"]
fn every_epoch_of_four_members_and_two_places_ends_as_it_was_delivered() {
    assert!(search(2) > 1_000_000);
}

#[test]
fn a_rule_without_the_second_condition_is_caught() {
    // The liar leads, and shows one correct member another item. That member alone went there.
    let member = |way: &[u8], prepared: bool| Member {
        bound: way.to_vec(),
        prepared: if prepared { BTreeSet::from([1]) } else { BTreeSet::new() },
        ..Member::default()
    };
    let thresholds = Thresholds::asynchronous(4, 1).expect("4 > 3");
    let states = States::from([
        (PartyId::new(0), member(&[0], true).state()),
        (PartyId::new(1), member(&[1], false).state()),
        (PartyId::new(3), member(&[1], true).state()),
    ]);
    // `f + 1` went to 1, but only two states allow it: the other correct member is waited for.
    assert_eq!(resolve(&states, thresholds), None);
}

#[test]
fn a_lane_goes_as_far_as_one_correct_member_stores_it() {
    let stored = |from: u64, chains: &[u8]| Stored {
        from,
        chains: chains.iter().map(|at| Digest::of("lane", &[*at])).collect(),
    };
    let state = |lane: Stored| State { lanes: vec![lane], ..Member::default().state() };
    let head = |seq: u64, at: u8| Head { seq, chain: Digest::of("lane", &[at]) };
    let states = States::from([
        (PartyId::new(0), state(stored(0, &[0, 1, 2, 3]))),
        (PartyId::new(1), state(stored(1, &[1, 2]))),
        (PartyId::new(2), state(stored(0, &[0, 9, 9, 9, 9]))),
    ]);
    let lane = PartyId::new(0);
    assert_eq!(extend(&states, lane, head(0, 0), 2), head(0, 0), "nobody agrees at 1 from 0 on");
    assert_eq!(extend(&states, lane, head(1, 1), 2), head(2, 2));
    assert_eq!(extend(&states, lane, head(1, 7), 2), head(1, 7), "of another lane");
    assert_eq!(extend(&states, PartyId::new(1), head(0, 0), 2), head(0, 0));
}
