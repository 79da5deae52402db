//! Bad input, bounded: some thousands of bent samples through every reader of bytes of others. The
//! same readers stand in `core/fuzz` for `cargo fuzz`. `MAFTIA_SEEDS` scales the share of this run.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fall")]

#[path = "targets.rs"]
mod targets;

use std::{
    alloc::System,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use cap::Cap;
use maftia_actors::{
    link::probe,
    log::{Disk, Entry, Inscribe, Log, Origin, Record, probe as segment},
};
use maftia_core::{
    config::Config,
    crypto::Digest,
    effects::Lane,
    id::{ClientId, Epoch, GroupId, PartyId},
    path::InstanceId,
    seat::Owner,
    wire::Rope,
};
use targets::{
    NETWORK,
    mutate::{Dice, mutated},
};

/// Counts what is allocated.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What a reader may allocate in all for each byte that it is given, and beside that: a decoder
/// makes room ahead for at most a megabyte, judges allocate big numbers.
const PER_BYTE: usize = 256;
const BESIDE: usize = 4 << 20;

/// Bent samples of each reader.
fn share(usual: usize) -> usize {
    let scale = std::env::var("MAFTIA_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    scale.unwrap_or(usual)
}

/// Gives a reader bytes, and asserts that it neither falls nor makes room for more than it has.
/// Whether it could read them.
fn give(name: &str, read: impl Fn(&[u8]) -> bool, bytes: &[u8]) -> bool {
    let before = MEMORY.total_allocated();
    let known = catch_unwind(AssertUnwindSafe(|| read(bytes)));
    let allocated = MEMORY.total_allocated() - before;
    let most = BESIDE + PER_BYTE * bytes.len();
    assert!(allocated <= most, "{name} allocates {allocated} bytes for {bytes:02x?}");
    known.unwrap_or_else(|_| panic!("{name} falls over {bytes:02x?}"))
}

/// Gives a reader samples, which it must know, and then bent ones, of which it refuses some.
fn storm(name: &str, read: impl Fn(&[u8]) -> bool, samples: &[Vec<u8>], count: usize) {
    assert!(!samples.is_empty(), "no samples of {name}");
    for sample in samples {
        assert!(give(name, &read, sample), "{name} does not know {sample:02x?}");
    }
    let mut dice = Dice::new(count as u64);
    let bent = (0..count).map(|turn| mutated(&samples[turn % samples.len()], &mut dice));
    let refused = bent.filter(|bent| !give(name, &read, bent)).count();
    assert!(refused > count / 20, "{name} refuses only {refused} of {count}");
}

fn with_first(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

/// All in one test: others beside it would be counted too.
#[test]
fn bent_bytes_make_nobody_fall_or_make_room() {
    let greedy = |_: &[u8]| Vec::<u8>::with_capacity(64 << 20).is_empty();
    assert!(catch_unwind(|| give("greedy", greedy, &[])).is_err(), "greed is seen");
    messages();
    connections();
    files();
    shares();
}

fn messages() {
    for decoder in targets::decoders() {
        let samples = (0..60).filter_map(decoder.sample).map(Vec::from);
        let samples: Vec<Vec<u8>> = samples.collect();
        storm(decoder.name, decoder.read, &samples, share(2_000));
    }
}

fn connections() {
    let instance = InstanceId::root(GroupId::new(0), Epoch::FIRST, "tm");
    let samples = [probe::sample(&instance, b"some bytes"), probe::sample(&instance, b"")];
    storm("packet", targets::packet, &samples, share(2_000));
    let untouched: Vec<_> = (0..4).map(|which| vec![which, 0, 0, 0]).collect();
    storm("handshake", targets::handshake, &untouched, share(200));
    for which in 0..4 {
        for at in 0..60 {
            let patch = [vec![which], vec![0; at], vec![0x40]].concat();
            assert!(!give("handshake", targets::handshake, &patch), "{patch:?} is not noticed");
        }
    }
}

fn files() {
    let sample = Config::sample().as_bytes().to_vec();
    storm("configuration", targets::config, &[sample], share(2_000));
    let key = NETWORK.deal.files()[0].1.as_bytes().to_vec();
    let public = NETWORK.deal.public().to_toml().into_bytes();
    let samples = [with_first(0, &key), with_first(1, &public)];
    storm("keys", targets::keys, &samples, share(200));
    let instance = InstanceId::root(GroupId::new(0), Epoch::FIRST, "tm");
    let guest = Owner::Client(ClientId::of_key(&Digest::of("test", b"key")));
    let origin = Origin {
        from: Owner::Party(GroupId::new(0), PartyId::new(2)),
        lane: Lane::Bulk,
        number: 77,
    };
    let took =
        |origin| Entry { instance: instance.clone(), origin, mail: Bytes::from_static(b"mail") };
    let records = [
        Record::Took(took(Some(origin))),
        Record::Took(took(None)),
        Record::Skipped(9),
        Record::Forgot(guest),
    ];
    let flat = |record: &Record| {
        let mut rope = Rope::default();
        record.inscribe(&mut rope);
        rope.flat().to_vec()
    };
    let samples: Vec<_> = records.iter().map(flat).collect();
    storm("record", targets::record, &samples, share(2_000));
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Disk::open(folder.path(), segment::PARTY, true).unwrap();
    let mut samples = vec![segment::content(folder.path())];
    for record in &records {
        log.append(record);
    }
    log.flush();
    samples.push(segment::content(folder.path()));
    storm("segment", targets::segment, &samples, share(2_000));
    let story = b"maftia story 1\nseed 7\npick 1 2 3\nsomething\n".to_vec();
    storm("pasted", targets::pasted, &[story], share(2_000));
}

fn shares() {
    let each = 0..targets::PARTS_COUNT as u8;
    let samples: Vec<_> = each.map(|which| vec![which, 1, 0]).collect();
    storm("share", targets::share, &samples, share(200));
}
