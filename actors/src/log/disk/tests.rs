use std::cell::RefCell;

use bytes::Bytes;
use maftia_core::id::{Epoch, GroupId};
use maftia_core::path::InstanceId;

use super::*;
use crate::log::Entry;

thread_local! {
    /// What this thread has waited for.
    pub(super) static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

fn record(text: &str) -> Record {
    let instance = InstanceId::root(GroupId::new(0), Epoch::FIRST, "g");
    Record::Took(Entry { instance, origin: None, mail: Bytes::copy_from_slice(text.as_bytes()) })
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.inscribe(&mut bytes);
    bytes
}

fn written(folder: &Path, texts: &[&str]) -> PathBuf {
    let (mut log, _) = Disk::open(folder, "g-0", true).expect("a fresh folder");
    for text in texts {
        log.append(&record(text));
    }
    log.flush();
    segment(folder, 1)
}

fn texts(recovered: &Recovered) -> Vec<(Lsn, Record)> {
    recovered.records.clone()
}

#[test]
fn what_was_written_is_read_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), &["a", "b"]);
    let (mut log, recovered) = Disk::open(folder.path(), "g-0", true).expect("a good log");
    assert_eq!(texts(&recovered), [(1, record("a")), (2, record("b"))]);
    assert_eq!(log.append(&record("c")), 3);
    log.flush();
    assert_eq!(*log.durable().borrow(), Durable::UpTo(3));
    assert_eq!(log.reread().expect("a good log").records.len(), 3);
}

/// A party that falls again and again before it has written much must come to a snapshot, too.
#[test]
fn what_an_earlier_life_wrote_counts_until_a_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut grown = Vec::new();
    for _ in 0..3 {
        let (mut log, _) = Disk::open(folder.path(), "g-0", false).expect("a good log");
        grown.push(log.grown());
        log.append(&record("a"));
        log.append(&record("more than that"));
        log.flush();
        grown.push(log.grown());
    }
    assert_eq!(grown[0], 0);
    assert!(grown.is_sorted() && grown[1] == grown[2] && grown[3] == grown[4], "{grown:?}");
    assert_eq!(grown[5], 3 * grown[1]);
    let (mut log, _) = Disk::open(folder.path(), "g-0", false).expect("a good log");
    log.replace(Snapshot { at: 6, trees: Vec::new(), links: Bytes::from_static(b"l") });
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
    let snapshot = Snapshot { at: 100, trees: Vec::new(), links: Bytes::from_static(b"l") };
    log.replace(snapshot.clone());
    log.append(&record("after"));
    log.commit();
    drop(log);
    let (_, recovered) = Disk::open(folder.path(), "g-0", false).expect("a good log");
    assert_eq!(recovered.snapshot, Some(snapshot));
    assert_eq!(texts(&recovered), [(101, record("after"))]);
    let segments = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(segments, 2, "one segment and the lock");
}

#[test]
fn a_torn_end_is_cut_off_at_every_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), &["first", "second"]);
    let whole = fs::read(&path).expect("the segment");
    let kept = whole.len() - (HEAD + encoded(&record("second")).len());
    for end in kept..whole.len() {
        fs::write(&path, &whole[..end]).expect("a torn segment");
        let (mut log, recovered) =
            Disk::open(folder.path(), "g-0", true).expect("torn, not damaged");
        assert_eq!(texts(&recovered), [(1, record("first"))], "cut at {end}");
        assert_eq!(log.append(&record("again")), 2);
        log.flush();
        assert_eq!(log.reread().expect("mended").records[1].1, record("again"));
    }
}

#[test]
fn damage_is_refused_at_every_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), &["first", "second", "third", ""]);
    let whole = fs::read(&path).expect("the segment");
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bent = whole.clone();
            bent[at] ^= flip;
            fs::write(&path, &bent).expect("a damaged segment");
            let error = Disk::open(folder.path(), "g-0", true).expect_err("all of it was synced");
            assert!(matches!(error, LogError::Damaged { .. }), "byte {at}: {error}");
        }
    }
    fs::write(&path, &whole).expect("the segment");
    let (_, recovered) = Disk::open(folder.path(), "g-0", true).expect("mended");
    assert_eq!(recovered.records.len(), 4);
}

#[test]
fn what_was_never_written_is_a_torn_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), &["first"]);
    let whole = fs::read(&path).expect("the segment");
    for zeros in [1, HEAD, 100, 5_000] {
        let mut longer = whole.clone();
        longer.resize(whole.len() + zeros, 0);
        fs::write(&path, &longer).expect("a longer segment");
        let (_, recovered) = Disk::open(folder.path(), "g-0", true).expect("torn, not damaged");
        assert_eq!(texts(&recovered), [(1, record("first"))]);
        assert_eq!(fs::read(&path).expect("the segment"), whole);
    }
}

#[test]
fn a_snapshot_of_many_pieces_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for size in [0, PIECE - 1, PIECE, 10 * PIECE + 7] {
        let (mut log, _) = Disk::open(folder.path(), "g-0", true).expect("a good log");
        let snapshot = Snapshot { at: 5, trees: Vec::new(), links: vec![7; size].into() };
        log.replace(snapshot.clone());
        log.flush();
        drop(log);
        let (_, recovered) = Disk::open(folder.path(), "g-0", true).expect("a good log");
        assert_eq!(recovered.snapshot, Some(snapshot));
    }
    let path = newest(folder.path()).expect("a folder").expect("a segment").1;
    let whole = fs::read(&path).expect("the segment");
    fs::write(&path, &whole[..whole.len() - 1]).expect("a short segment");
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
