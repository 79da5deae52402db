//! Links that lose what is on them, because a backlog overflowed, and tell the addressee so: no party
//! is left out for it, even when `f` others are silent and everybody else is needed.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test losses`.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use maftia_core::{
    agreement::multivalued::Multivalued,
    id::{PartyId, Slot},
    protocol::Protocol,
    sim::{
        Group,
        adversary::Random,
        behaviour::{Crash, Mute},
        oracle, p, property,
    },
    stream::{
        atomic::{Atomic, Input, Output, Signed, Spec},
        batch::Batch,
    },
};

/// The payloads that a party delivered.
fn delivered(group: &Group<Atomic>, party: PartyId) -> Vec<String> {
    let batches = group.outputs(party).iter().filter_map(|output| match output {
        Output::Deliver { batch, .. } => Some(batch),
        _ => None,
    });
    batches
        .flat_map(|batch| batch.iter().map(|payload| String::from_utf8(payload.to_vec()).unwrap()))
        .collect()
}

#[test]
fn whatever_links_lose_everything_is_delivered_by_all() {
    property(48, |seed| {
        let n = [4, 7][seed as usize % 2];
        let f = (n - 1) / 3;
        let mut group = Group::<Atomic>::new(n, f, seed, Spec::default()).losses(30).restarts(2);
        group.set_steps_max(200_000);
        for fallen in 0..f {
            group = match seed / 2 % 3 {
                0 => group.corrupt(p(n - 1 - fallen), Mute),
                1 => group.corrupt(p(fallen), Crash::after(seed * 7 % 2_000)),
                _ => group,
            };
        }
        if seed % 5 == 4 {
            group = group.detach([Multivalued::<Signed>::KIND]);
        }
        for party in PartyId::all(n) {
            group.input(party, Input::Pull { up_to: Slot::new(u64::MAX) });
        }
        for wave in 0..4_u64 {
            for party in PartyId::all(n) {
                let payload = format!("{party} in wave {wave}");
                group.input(party, Input::Submit { batch: Batch::of([payload]) });
            }
            let until = group.steps() + 400 * (wave + 1);
            group.run_while(|world| world.steps() < until);
        }
        group.set_adversary(Random);
        group.run();
        let correct = group.correct();
        let first = delivered(&group, correct[0]);
        for party in &correct {
            let got = delivered(&group, *party);
            assert_eq!(got, first, "{party} delivers the same");
            let own = first.iter().filter(|payload| payload.starts_with(&format!("{party} in")));
            assert_eq!(own.count(), 4, "all that {party} submitted is delivered");
        }
        oracle::no_slander(&group).unwrap();
    });
}
