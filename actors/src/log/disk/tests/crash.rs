//! What a crash can leave, state by state, and what it cannot.

use std::collections::BTreeSet;

use sector::SECTOR;

use super::*;

const PARTY: &str = "g-0";

fn image(folder: &Path) -> Vec<u8> {
    fs::read(segment(folder, 1)).expect("the segment")
}

fn parse(image: Vec<u8>) -> Result<Segment, LogError> {
    reader::parse(image, Path::new("image"), 1, PARTY)
}

/// What is read in a state that a crash can leave.
fn torn(image: Vec<u8>) -> Vec<Record> {
    let segment = parse(image).unwrap_or_else(|error| panic!("torn, not damaged: {error}"));
    segment.recovered.records.into_iter().map(|(_, record)| record).collect()
}

fn is_refused(image: Vec<u8>) -> bool {
    matches!(parse(image), Err(LogError::Damaged { .. }))
}

/// The file before and after each flush of these commits.
fn images(commits: &[Vec<Record>]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = Disk::open(folder.path(), PARTY, true).expect("a fresh folder");
    let mut images = vec![image(folder.path())];
    for commit in commits {
        append(&mut log, commit);
        images.push(image(folder.path()));
    }
    images
}

/// The sector that begins there, which is zeros behind the end.
fn sector_at(image: &[u8], at: usize) -> &[u8] {
    image.get(at..at + SECTOR).unwrap_or(&[0; SECTOR])
}

/// Where two images differ.
fn touched(old: &[u8], new: &[u8]) -> Vec<usize> {
    let all = (0..new.len()).step_by(SECTOR);
    all.filter(|at| sector_at(new, *at) != sector_at(old, *at)).collect()
}

/// Each state between two images: any of the sectors that differ are still as they were.
fn between<'a>(old: &'a [u8], new: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    let touched = touched(old, new);
    assert!(touched.len() <= 14, "{} sectors are too many to try all their sets", touched.len());
    (0..1_u32 << touched.len()).map(move |chosen| {
        let mut state = new.to_vec();
        for (bit, at) in touched.iter().enumerate() {
            if chosen & (1 << bit) == 0 {
                state[*at..*at + SECTOR].copy_from_slice(sector_at(old, *at));
            }
        }
        state
    })
}

/// What was synced before the last write, then the records of that write.
fn commits() -> [Vec<Record>; 2] {
    let write = [record("b"), large(4), record(""), large(1), record("c"), large(3), record("d")];
    [vec![record("a"), large(2), record("kept")], write.into()]
}

/// A loss of power in the middle of a write keeps any of its sectors: what was synced is all there, of
/// the write a beginning.
#[test]
fn any_sectors_of_the_last_write_may_be_lost() {
    let [_, old, new] = &images(&commits())[..] else { panic!("three images") };
    let (kept, all) = (commits()[0].len(), commits().concat());
    let mut lengths = BTreeSet::new();
    for state in between(old, new) {
        for length in [old.len(), old.len() + 3 * SECTOR, new.len()] {
            // A file that did not grow lost what would be behind its end.
            let found = torn(state[..length].to_vec());
            assert!(all.starts_with(&found) && found.len() >= kept);
            lengths.insert(found.len());
        }
    }
    assert!(lengths.contains(&kept) && lengths.contains(&all.len()) && lengths.len() > 4);
}

/// The same with a crash in the mending: what was cut off never comes back behind what is written next.
#[test]
fn a_crash_while_a_torn_end_is_cut_off_leaves_another_torn_end() {
    let [_, old, new] = &images(&commits())[..] else { panic!("three images") };
    for state in between(old, new).step_by(13) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(segment(folder.path(), 1), &state).expect("a torn segment");
        let whole = torn(state.clone());
        let (mut log, recovered) = Disk::open(folder.path(), PARTY, true).expect("torn");
        assert_eq!(recovered.records.len(), whole.len());
        let mended = image(folder.path());
        // Any sectors of the kept block are written, and the file is cut or not.
        let mut uncut = mended.clone();
        uncut.extend_from_slice(&state[mended.len()..]);
        for crashed in between(&state[..mended.len()], &mended).chain(between(&state, &uncut)) {
            assert_eq!(torn(crashed), whole);
        }
        let next = [record("again"), large(5)];
        append(&mut log, &next);
        let all = [&whole[..], &next].concat();
        for crashed in between(&mended, &image(folder.path())) {
            let found = torn(crashed);
            assert!(found.len() >= whole.len() && all.starts_with(&found));
        }
    }
}

/// A process that is killed, or a full disk, leaves a file that ends anywhere in the last write.
#[test]
fn a_torn_end_is_cut_off_wherever_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let [_, old, new] = &images(&commits())[..] else { panic!("three images") };
    let kept = commits()[0].len();
    let last = touched(&[], old).pop().expect("a sector that was synced") + SECTOR;
    for end in (last..new.len()).step_by(101).chain([last + 1, new.len() - 1]) {
        fs::write(segment(folder.path(), 1), &new[..end]).expect("a torn segment");
        let (mut log, recovered) = Disk::open(folder.path(), PARTY, true).expect("torn");
        let found = recovered.records.len();
        assert!((kept..=commits().concat().len()).contains(&found), "cut at {end}");
        assert_eq!(log.append(&record("again")), found as Lsn + 1);
        log.flush();
        assert_eq!(log.reread().expect("mended").records[found].1, record("again"));
    }
}

/// Bits that flip are told from a torn end wherever they are, the zeros at the end included.
#[test]
fn damage_is_refused_at_every_byte() {
    let whole = images(&commits()).pop().expect("three images");
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bent = whole.clone();
            bent[at] ^= flip;
            assert!(is_refused(bent), "byte {at}: all of it was synced");
        }
    }
    assert_eq!(torn(whole), commits().concat());
}

/// Sectors below a mark cannot have been lost by a crash, one or many.
#[test]
fn sectors_that_were_synced_are_missed() {
    let [_, old, new] = &images(&commits())[..] else { panic!("three images") };
    let first = touched(old, new)[0];
    assert!(first >= 2 * SECTOR, "some were synced and not written again");
    for begin in (0..first).step_by(SECTOR) {
        for end in (begin + SECTOR..=first).step_by(SECTOR) {
            let mut lost = new.clone();
            lost[begin..end].fill(0);
            assert!(is_refused(lost), "{begin}..{end}");
        }
    }
}

#[test]
fn a_sector_of_another_place_or_segment_is_refused() {
    let whole = images(&commits()).pop().expect("three images");
    let mut moved = whole.clone();
    moved.copy_within(SECTOR..2 * SECTOR, 0);
    assert!(is_refused(moved));
    let other = reader::parse(whole, Path::new("image"), 2, PARTY).err();
    assert!(matches!(other, Some(LogError::Damaged { .. })));
}

#[test]
fn what_was_never_written_is_a_torn_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), &["first"]);
    let whole = fs::read(&path).expect("the segment");
    for zeros in [1, SECTOR, 5_000, 40_000] {
        let mut longer = whole.clone();
        longer.resize(whole.len() + zeros, 0);
        fs::write(&path, &longer).expect("a longer segment");
        let (_, recovered) = Disk::open(folder.path(), PARTY, true).expect("torn, not damaged");
        assert_eq!(recovered.records, [(1, record("first"))]);
        assert_eq!(fs::read(&path).expect("the segment").len(), whole.len());
    }
}

/// Wherever in a block a write ends, nothing is behind it that the buffer held before.
#[test]
fn behind_the_end_of_every_write_are_zeros() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sheet");
    let mut sheet = Sheet::create(&path, 1, true, Room::default()).expect("a file");
    let mut log = Vec::new();
    for size in (0..40).flat_map(|sectors| [sectors * sector::BODY, 1, sector::BODY - 1]) {
        let bytes = vec![size as u8; size];
        sheet.put(&bytes).and_then(|()| sheet.flush()).expect("a good disk");
        log.extend(bytes);
        let read = reader::joined(fs::read(&path).expect("the file"), 1);
        let (read, _, torn) = read.unwrap_or_else(|damage| panic!("size {size}: {damage:?}"));
        assert!(read == log && !torn, "size {size}");
    }
}

/// A file system that takes no direct writes gets the same bytes.
#[test]
fn a_file_is_the_same_written_directly_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [true, false].map(|direct| {
        let path = folder.path().join(direct.to_string());
        let mut sheet = Sheet::create(&path, 1, direct, Room::default()).expect("a file");
        for size in [1, 600, 0, 30_000, 17] {
            sheet.put(&vec![7; size]).expect("a good disk");
            sheet.flush().expect("a good disk");
            sheet.sync().expect("a good disk");
        }
        path
    });
    let [direct, buffered] = paths.map(|path| fs::read(path).expect("the file"));
    assert!(direct == buffered && direct.len().is_multiple_of(sheet::BLOCK));
}
