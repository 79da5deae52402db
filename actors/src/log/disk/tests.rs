mod crash;

use std::{cell::RefCell, fs};

use bytes::Bytes;
use maftia_core::{
    id::{Epoch, GroupId},
    wire::Rope,
};

use super::{folder::segment, *};
use crate::log::{Entry, Record};

thread_local! {
    /// What this thread has waited for.
    static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn noted(path: &Path, synced: bool) {
    if synced {
        SYNCED.with_borrow_mut(|all| all.push(path.to_owned()));
    }
}

fn record(text: &str) -> Record {
    let instance = InstanceId::root(GroupId::new(0), Epoch::FIRST, "g");
    Record::Took(Entry { instance, origin: None, mail: Bytes::copy_from_slice(text.as_bytes()) })
}

/// A record that fills so many sectors and a little more.
fn large(sectors: usize) -> Record {
    record(&"large ".repeat(sectors * sector::BODY / 6))
}

fn append(log: &mut Disk, records: &[Record]) {
    for record in records {
        log.append(record);
    }
    log.flush();
}

fn written(folder: &Path, texts: &[&str]) -> PathBuf {
    let (mut log, _) = Disk::open(folder, "g-0", true).expect("a fresh folder");
    append(&mut log, &texts.iter().map(|text| record(text)).collect::<Vec<_>>());
    segment(folder, 1)
}

fn snapshot(at: Lsn, links: Vec<u8>) -> Snapshot {
    Snapshot { at, trees: Vec::new(), links: Bytes::from(links).into() }
}

#[test]
fn what_was_written_is_read_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), &["a", "b"]);
    let (mut log, recovered) = Disk::open(folder.path(), "g-0", true).expect("a good log");
    assert_eq!(recovered.records, [(1, record("a")), (2, record("b"))]);
    assert_eq!(log.append(&record("c")), 3);
    log.flush();
    assert_eq!(*log.durable().borrow(), Durable::UpTo(3));
    assert_eq!(log.reread().expect("a good log").records.len(), 3);
}

/// Records of all sizes around those of sectors, blocks and the buffer, in commits large and small,
/// written directly or not, over many lives.
#[test]
fn records_of_any_size_are_read_as_they_were_written() {
    for sync in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut all = Vec::new();
        for life in 0..12 {
            let (mut log, recovered) = Disk::open(folder.path(), "g-0", sync).expect("a good log");
            let read: Vec<_> = recovered.records.into_iter().map(|(_, record)| record).collect();
            assert!(read == all, "life {life}, with sync {sync}");
            for size in [0, 1, 480 + life, 511 + life, 4_000 + 9 * life, 20_000 + 99 * life, 0] {
                let record = record(&"x".repeat(size));
                log.append(&record);
                all.push(record);
                if size % 2 == 0 {
                    log.commit();
                }
            }
        }
    }
}

/// A party that falls again and again before it has written much must come to a snapshot, too.
#[test]
fn what_an_earlier_life_wrote_counts_until_a_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut grown = Vec::new();
    for _ in 0..3 {
        let (mut log, _) = Disk::open(folder.path(), "g-0", false).expect("a good log");
        grown.push(log.grown());
        append(&mut log, &[record("a"), record("more than that")]);
        grown.push(log.grown());
    }
    assert_eq!(grown[0], 0);
    assert!(grown.is_sorted() && grown[1] == grown[2] && grown[3] == grown[4], "{grown:?}");
    assert_eq!(grown[5], 3 * grown[1]);
    let (mut log, _) = Disk::open(folder.path(), "g-0", false).expect("a good log");
    log.replace(snapshot(6, b"l".to_vec()));
    log.flush();
    drop(log);
    let (log, _) = Disk::open(folder.path(), "g-0", false).expect("a good log");
    assert_eq!(log.grown(), 0);
}

#[test]
fn a_snapshot_replaces_what_was_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = Disk::open(folder.path(), "g-0", false).expect("a fresh folder");
    for number in 0..100 {
        log.append(&record(&number.to_string()));
    }
    let instance = |name| InstanceId::root(GroupId::new(0), Epoch::FIRST, name);
    let trees = [("a", vec![1; 3]), ("b", vec![]), ("c", vec![2; 70_000])];
    let trees = trees.map(|(name, tree)| (instance(name), Bytes::from(tree).into()));
    let snapshot =
        Snapshot { at: 100, trees: trees.into(), links: Bytes::from_static(b"l").into() };
    log.replace(snapshot.clone());
    log.append(&record("after"));
    log.commit();
    drop(log);
    let (_, recovered) = Disk::open(folder.path(), "g-0", false).expect("a good log");
    assert_eq!(recovered.snapshot, Some(snapshot));
    assert_eq!(recovered.records, [(101, record("after"))]);
    let segments = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(segments, 2, "one segment and the lock");
}

#[test]
fn a_snapshot_of_any_size_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for size in [0, 1, sector::BODY - 1, 10 * sector::BODY, 100_000] {
        let (mut log, _) = Disk::open(folder.path(), "g-0", true).expect("a good log");
        let snapshot = snapshot(5, vec![7; size]);
        log.replace(snapshot.clone());
        log.flush();
        drop(log);
        let (_, recovered) = Disk::open(folder.path(), "g-0", true).expect("a good log");
        assert_eq!(recovered.snapshot, Some(snapshot));
    }
    let path =
        segment(folder.path(), segments(folder.path()).expect("a folder").pop().expect("one"));
    let whole = fs::read(&path).expect("the segment");
    fs::write(&path, &whole[..whole.len() - sheet::BLOCK]).expect("a short segment");
    let error = Disk::open(folder.path(), "g-0", true).expect_err("a snapshot is never torn");
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn a_log_has_one_owner_and_one_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, _) = Disk::open(folder.path(), "g-0", true).expect("a fresh folder");
    assert!(matches!(Disk::open(folder.path(), "g-0", true), Err(LogError::InUse { .. })));
    drop(log);
    assert!(matches!(Disk::open(folder.path(), "g-1", true), Err(LogError::Foreign { .. })));
}

#[test]
fn what_was_read_is_durable_before_it_counts_as_durable() {
    let folder = tempfile::tempdir().expect("a folder");
    // Written by somebody who was killed before its sync.
    drop(Disk::open(folder.path(), "g-0", false).map(|(mut log, _)| log.append(&record("a"))));
    SYNCED.take();
    let (log, _) = Disk::open(folder.path(), "g-0", true).expect("a good log");
    assert_eq!(SYNCED.take(), [segment(folder.path(), 1)]);
    drop(log);
    drop(Disk::open(folder.path(), "g-0", false).expect("a good log"));
    assert_eq!(SYNCED.take(), Vec::<PathBuf>::new(), "nobody asked for it");
}

#[test]
fn a_new_folder_is_durable_with_those_above_it() {
    let above = tempfile::tempdir().expect("a folder");
    let folder = above.path().join("data/logs");
    SYNCED.take();
    drop(Disk::open(&folder, "g-0", true).expect("a fresh folder"));
    assert_eq!(SYNCED.take(), [above.path().join("data"), above.path().to_owned()]);
}

/// Payloads as records bring them and trees keep them, each in memory of its own.
fn payloads(count: u8) -> Vec<Bytes> {
    (0..count).map(|number| Bytes::from(vec![number; 20_000])).collect()
}

fn with_payload(payload: &Bytes) -> Record {
    let Record::Took(entry) = record("") else { unreachable!("it took mail") };
    Record::Took(Entry { mail: payload.clone(), ..entry })
}

/// A snapshot of a tree that has these payloads, some of them twice, and something of its own.
fn keeping(at: Lsn, payloads: &[Bytes]) -> Snapshot {
    let mut tree = Rope::from(Bytes::from_static(b"its own"));
    payloads.iter().for_each(|payload| tree.share(&payload.slice(100..)));
    let mut links = Rope::default();
    payloads.iter().for_each(|payload| links.share(&payload.slice(100..)));
    Snapshot {
        at,
        trees: vec![(InstanceId::root(GroupId::new(0), Epoch::FIRST, "a"), tree)],
        links,
    }
}

fn bytes_of(folder: &Path, number: u64) -> u64 {
    segment(folder, number).metadata().map_or(0, |file| file.len())
}

#[test]
fn payloads_are_written_once_and_their_segments_stay_as_long_as_they_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = Disk::open(folder.path(), "g-0", true).expect("a fresh folder");
    let payloads = payloads(10);
    append(&mut log, &payloads.iter().map(with_payload).collect::<Vec<_>>());
    let kept = keeping(10, &payloads[5..]);
    log.replace(kept.clone());
    log.flush();
    let block = sheet::BLOCK as u64;
    assert_eq!(bytes_of(folder.path(), 2), block, "it names what is in the first one");
    assert_eq!(log.reread().expect("a good log").snapshot, Some(kept.clone()));
    drop(log);
    let (mut log, recovered) = Disk::open(folder.path(), "g-0", true).expect("a good log");
    assert_eq!(recovered.snapshot, Some(kept.clone()));
    assert_eq!(segments(folder.path()).expect("the folder"), [1, 2]);
    // What was read lies elsewhere in memory, so this time all of it is written, but each payload once.
    log.replace(kept.clone());
    log.flush();
    assert_eq!(segments(folder.path()).expect("the folder"), [3]);
    let once = bytes_of(folder.path(), 3);
    assert!((100_000..120_000).contains(&once), "{once} bytes");
    log.replace(kept.clone());
    log.flush();
    assert_eq!(bytes_of(folder.path(), 4), block);
    // One payload of five is not worth the whole segment.
    log.replace(keeping(10, &payloads[9..]));
    log.flush();
    assert_eq!(segments(folder.path()).expect("the folder"), [5]);
    drop(log);
    let recovered = Disk::open(folder.path(), "g-0", true).expect("a good log").1;
    assert_eq!(recovered.snapshot, Some(keeping(10, &payloads[9..])));
}

#[test]
fn memory_that_is_used_again_is_another_payload() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = Disk::open(folder.path(), "g-0", false).expect("a fresh folder");
    let mut memory = vec![0; 20_000];
    for number in 1..=20 {
        memory.fill(number);
        let payload = Bytes::from(memory);
        log.append(&with_payload(&payload));
        log.replace(keeping(number.into(), std::slice::from_ref(&payload)));
        log.flush();
        let found = log.reread().expect("a good log").snapshot;
        assert_eq!(found, Some(keeping(number.into(), std::slice::from_ref(&payload))));
        // The log holds the payload as long as it knows where it is: then this is other memory.
        memory = payload.try_into_mut().map_or_else(|_| vec![0; 20_000], |bytes| bytes.to_vec());
    }
}

/// A payload that a snapshot names is as much a part of it as one that it holds.
#[test]
fn a_named_payload_that_is_lost_or_bent_is_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = Disk::open(folder.path(), "g-0", true).expect("a fresh folder");
    let payloads = payloads(4);
    append(&mut log, &payloads.iter().map(with_payload).collect::<Vec<_>>());
    log.replace(keeping(4, &payloads));
    log.flush();
    drop(log);
    let old = segment(folder.path(), 1);
    let whole = fs::read(&old).expect("the first segment");
    for at in [30_000, 50_000, whole.len() / 2] {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        fs::write(&old, &bent).expect("a bent segment");
        let error = Disk::open(folder.path(), "g-0", true).expect_err("it was changed");
        assert!(matches!(error, LogError::Damaged { .. }), "{error}");
    }
    fs::write(&old, &whole[..40_000]).expect("a short segment");
    assert!(Disk::open(folder.path(), "g-0", true).is_err());
    fs::remove_file(&old).expect("the first segment");
    let error = Disk::open(folder.path(), "g-0", true).expect_err("it is gone").to_string();
    assert!(error.contains("0000000001.log"), "{error}");
    fs::write(&old, &whole).expect("the whole segment");
    let recovered = Disk::open(folder.path(), "g-0", true).expect("all is there").1;
    assert_eq!(recovered.snapshot, Some(keeping(4, &payloads)));
}
