//! Reads a segment, and tells what a crash left from damage.

use std::{fs, path::Path};

use bytes::Bytes;
use maftia_core::{path::InstanceId, wire};

use super::{
    Header, VERSION, io,
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
}

/// Reads a segment of a party.
pub(super) fn read(path: &Path, number: u64, party: &str) -> Result<Segment, LogError> {
    parse(fs::read(path).map_err(|source| io(path, source))?, path, number, party)
}

/// What the bytes of a file say.
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
    let snapshot = reader.snapshot(header);
    let snapshot = snapshot.ok_or_else(|| damaged(reader.bad("no whole snapshot")))?;
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
    Ok(Segment { recovered, log, synced, torn, grown: (end - begin) as u64 })
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
            let record = Record::read(record).map_err(|error| self.bad(&error.to_string()))?;
            records.push((lsn, record));
        }
        Ok(records)
    }

    fn snapshot(&mut self, header: Header) -> Option<Snapshot> {
        let mut bytes =
            |len: u64| self.take(usize::try_from(len).ok()?).map(Bytes::copy_from_slice);
        let trees: Option<Vec<(InstanceId, Bytes)>> =
            header.trees.into_iter().map(|(id, len)| Some((id, bytes(len)?))).collect();
        Some(Snapshot { at: header.at, trees: trees?, links: bytes(header.links)? })
    }
}
