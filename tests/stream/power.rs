//! The power goes, for all members at once, at any moment: each is back to what its disk has.
//!
//! Nothing that was said is contradicted, since it was on the disk before it was said; nothing that
//! anybody delivered is lost or ordered otherwise.

use maftia_core::{
    sim::{Group, oracle, property, size},
    stream::{
        atomic::{Atomic, Spec as Rounds},
        certified::{Certified, Spec as Lanes},
        fast::Fast,
    },
};

use crate::{
    fast,
    group::{Stream, check, work},
};

fn survives<S: Stream>(spec: impl Fn(u64) -> S::Spec) {
    property(24, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        let group: Group<S> = crate::group::group(n, seed, spec(seed));
        let mut group = group.power_losses(1 + seed % 4);
        if seed % 3 > 0 {
            group = group.corrupt_any();
        }
        let submitted = work(&mut group, n, 3);
        group.lose_power();
        group.run();
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

#[test]
fn rounds_go_on_where_they_were() {
    survives::<Atomic>(|_| Rounds::default());
}

#[test]
fn certified_lanes_go_on_where_they_were() {
    survives::<Certified>(|_| Lanes::default());
}

#[test]
fn the_fast_lane_goes_on_where_it_was() {
    survives::<Fast>(fast::spec);
}
