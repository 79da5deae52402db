//! Reads a segment, and tells what a crash left from damage.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use bytes::Bytes;
use maftia_core::wire::{self, Rope};

use super::{
    Header, VERSION,
    bodies::{Hole, Place},
    folder::segment,
    io,
    sector::{self, BODY, Found, SECTOR},
};
use crate::log::{LogError, Lsn, Record, Recovered, Snapshot, draft::HEAD};

/// What a segment was found to hold.
pub(super) struct Segment {
    pub(super) recovered: Recovered,
    /// The log, up to its last whole record.
    pub(super) log: Vec<u8>,
    /// How much of it the disk had for certain.
    pub(super) synced: u64,
    /// Something stands behind the last whole record.
    pub(super) torn: bool,
    /// How many bytes of records follow the snapshot.
    pub(super) grown: u64,
    /// The segments that the snapshot names.
    pub(super) older: BTreeSet<u64>,
}

/// Reads a segment of a party, and what its snapshot names in others.
pub(super) fn read(folder: &Path, number: u64, party: &str) -> Result<Segment, LogError> {
    let path = segment(folder, number);
    parse(fs::read(&path).map_err(|source| io(&path, source))?, &path, number, party)
}

/// What the bytes of a file say. What they name in other segments is read beside it.
pub(super) fn parse(
    file: Vec<u8>,
    path: &Path,
    number: u64,
    party: &str,
) -> Result<Segment, LogError> {
    let damaged = |Damage(offset, what): Damage| LogError::Damaged {
        path: path.display().to_string(),
        offset,
        what,
    };
    let (mut log, synced, mut torn) = joined(file, number).map_err(damaged)?;
    let mut reader = Reader { log: &log, at: 0 };
    let header = reader.next().ok_or_else(|| reader.bad("no header")).map_err(damaged)?;
    let header: Header = wire::decode_own(header)
        .map_err(|error| damaged(reader.bad(&format!("a header of another version: {error}"))))?;
    if header.party != party || header.version != VERSION {
        return Err(LogError::Foreign {
            path: path.display().to_string(),
            found: format!("{} (version {})", header.party, header.version),
            expected: format!("{party} (version {VERSION})"),
        });
    }
    let whole = reader.whole(&header).ok_or_else(|| damaged(reader.bad("no whole snapshot")))?;
    let mut whole = filled(whole, &header.holes, path.parent().unwrap_or(Path::new("")))?;
    let older = header.holes.iter().filter_map(|hole| hole.place.segment()).collect();
    let snapshot = Snapshot {
        at: header.at,
        trees: header
            .trees
            .into_iter()
            .map(|(id, len)| (id, Rope::from(whole.split_to(len as usize))))
            .collect(),
        links: Rope::from(whole),
    };
    let begin = reader.at;
    let records = reader.records(snapshot.at).map_err(damaged)?;
    let end = reader.at;
    if (end as u64) < synced {
        return Err(damaged(reader.bad("records are missing that the disk had")));
    }
    torn |= end < log.len();
    log.truncate(end);
    let snapshot = (snapshot != Snapshot::default()).then_some(snapshot);
    let recovered = Recovered { snapshot, records };
    Ok(Segment { recovered, log, synced, torn, grown: (end - begin) as u64, older })
}

/// A snapshot of which nothing is left out any more.
fn filled(whole: Whole<'_>, holes: &[Hole], folder: &Path) -> Result<Bytes, LogError> {
    let Whole { written, len } = whole;
    let mut rest = written;
    let mut all = Vec::with_capacity(len);
    for hole in holes {
        let (before, behind) = rest.split_at(hole.at as usize - all.len());
        all.extend_from_slice(before);
        rest = behind;
        match hole.place {
            Place::Here(at) => all.extend_from_slice(&written[at as usize..][..hole.len as usize]),
            Place::There(number, at) => elsewhere(folder, number, at, hole.len, &mut all)?,
        }
    }
    all.extend_from_slice(rest);
    Ok(all.into())
}

/// Reads bytes of the log of another segment.
fn elsewhere(
    folder: &Path,
    number: u64,
    at: u64,
    len: u64,
    to: &mut Vec<u8>,
) -> Result<(), LogError> {
    let path = segment(folder, number);
    let (first, skip) = (at / BODY as u64, (at % BODY as u64) as usize);
    let count = (skip + len as usize).div_ceil(BODY);
    let mut sectors = vec![0; count * SECTOR];
    File::open(&path)
        .and_then(|file| file.read_exact_at(&mut sectors, first * SECTOR as u64))
        .map_err(|source| io(&path, source))?;
    let (seed, begin) = (sector::seed(number), to.len());
    for (place, sector) in (first..).zip(sectors.chunks_exact(SECTOR)) {
        match sector::open(sector, seed, place) {
            Found::Whole { fill, .. } => to.extend_from_slice(&sector[sector::span(0, fill)]),
            Found::Blank | Found::Bent => {
                let what = "a payload that a snapshot names does not verify".into();
                let (path, offset) = (path.display().to_string(), place * SECTOR as u64);
                return Err(LogError::Damaged { path, offset, what });
            }
        }
    }
    to.drain(begin..begin + skip);
    to.truncate(begin + len as usize);
    Ok(())
}

/// Where a segment is damaged, in bytes of the file, and how.
#[derive(Debug)]
pub(super) struct Damage(u64, String);

/// The log in the sectors of a file, up to the first that was never filled; how much of it the disk had
/// for certain; and whether a later sector was written, or one in part.
pub(super) fn joined(mut file: Vec<u8>, number: u64) -> Result<(Vec<u8>, u64, bool), Damage> {
    let seed = sector::seed(number);
    let (mut len, mut ended, mut synced) = (0, false, 0);
    let mut torn = !file.len().is_multiple_of(SECTOR);
    for place in 0..file.len() / SECTOR {
        let at = place * SECTOR;
        match sector::open(&file[at..at + SECTOR], seed, place as u64) {
            Found::Blank => ended = true,
            Found::Whole { fill, mark } => {
                synced = synced.max(mark);
                torn |= ended;
                if !ended {
                    file.copy_within(sector::span(at, fill), len);
                    len += fill;
                }
                ended |= fill < BODY;
            }
            Found::Bent => return Err(Damage(at as u64, "a sector does not verify".into())),
        }
    }
    if (len as u64) < synced {
        return Err(Damage(offset(len), "a sector is missing that the disk had".into()));
    }
    file.truncate(len);
    Ok((file, synced, torn))
}

/// Where a byte of the log stands in its file.
fn offset(at: usize) -> u64 {
    sector::span((at / BODY) * SECTOR, at % BODY).end as u64
}

struct Reader<'a> {
    log: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bad(&self, what: &str) -> Damage {
        Damage(offset(self.at), what.into())
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.log[self.at..].get(..len)?;
        self.at += len;
        Some(taken)
    }

    /// The next record that is all there.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = self.log[self.at..].split_first_chunk::<HEAD>()?;
        let record = rest.get(..u32::from_le_bytes(*head) as usize)?;
        self.at += HEAD + record.len();
        Some(record)
    }

    fn records(&mut self, mut lsn: Lsn) -> Result<Vec<(Lsn, Record)>, Damage> {
        let mut records = Vec::new();
        while let Some(record) = self.next() {
            lsn += 1;
            let record = Record::read(&Bytes::copy_from_slice(record))
                .map_err(|error| self.bad(&error.to_string()))?;
            records.push((lsn, record));
        }
        Ok(records)
    }

    /// The bytes of the snapshot that are not left out, if its header makes sense.
    fn whole(&mut self, header: &Header) -> Option<Whole<'a>> {
        let mut lengths = header.trees.iter().map(|(_, len)| *len).chain([header.links]);
        let len = lengths.try_fold(0_u64, u64::checked_add)?;
        let mut end = 0;
        for hole in &header.holes {
            let within = hole.at >= end && hole.len <= len.checked_sub(hole.at)?;
            end = within.then(|| hole.at + hole.len)?;
        }
        let out: u64 = header.holes.iter().map(|hole| hole.len).sum();
        let written = self.take(usize::try_from(len - out).ok()?)?;
        let here = |hole: &Hole| match hole.place {
            Place::Here(at) => at.checked_add(hole.len).is_some_and(|end| end <= len - out),
            Place::There(..) => true,
        };
        let sound = header.holes.iter().all(here);
        sound.then_some(Whole { written, len: usize::try_from(len).ok()? })
    }
}

/// What is written of a snapshot, and how many bytes it has in all.
struct Whole<'a> {
    written: &'a [u8],
    len: usize,
}
