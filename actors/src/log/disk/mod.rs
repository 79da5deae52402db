//! A log on disk: segments of checked sectors, and one thread that writes and syncs them.
//!
//! # What is in a segment
//! A segment is a log cut into sectors of 512 bytes. The log is a header that names the party and says
//! how long each part of the snapshot is, the snapshot, then records, each behind its length. A sector
//! is its sum, how many bytes of the log it holds, a *mark*, and these bytes. The sum is the CRC-32C of
//! all the rest, begun with the segment's number and the sector's place: a sector that is changed,
//! moved or another segment's does not verify. The mark says how many bytes of the log the disk had
//! for certain, by a sync that had returned, when the sector was written.
//!
//! Whole blocks of 4,096 bytes are written from one aligned buffer, past the memory of the operating
//! system where the file system can (`O_DIRECT`), since each fresh page there costs more than all else.
//! The last block is filled up with sectors of zeros, kept, and written again with what comes next. No
//! sector is written again once it is full, and one that is written again begins as it did.
//!
//! # Payloads are written once
//! A snapshot names the payloads that stand in records, or in an older snapshot, instead of writing them
//! again; the segments that it names stay, as long as it names a quarter of their bytes. They were synced
//! before it was written, and nothing is written to them any more.
//!
//! # What a crash leaves
//! A sector is written whole or not at all: disks promise that, and find out themselves when it fails.
//! Of what was written since the last sync a loss of power keeps any sectors and loses any others, in
//! no order; a process that is killed leaves a file that ends anywhere. So each sector that the last
//! write touched is the new one, the one before it (which begins alike, or was zeros), or is not there.
//! All of them verify or are blank. A reader takes the log up to the first sector that is not full,
//! and in it all whole records. The rest is a *torn end*, and is cut off.
//!
//! # What is damage
//! A sector that neither verifies nor is blank was changed. A log that ends below a mark, wherever in the
//! file that mark stands, has lost what the disk had. Neither can be left by a crash: marks are
//! written after the sync that they tell of. A party that cannot know what it said must not speak, so
//! both are refused. Blank sectors above every mark are taken for a torn end: a disk that forgets the
//! last thing that it was told to keep cannot be told from one that was never told.
//!
//! # Why the cut comes first
//! What was cut off must not come back between sectors of a later write, for it verifies. So the last
//! block is written without it, then the file is cut, then both are synced, before anything else is
//! written. A crash among these leaves a state as above: the kept sectors begin as they did.

mod bodies;
mod folder;
pub mod probe;
mod reader;
mod sector;
mod sheet;
mod writer;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::mpsc,
    thread::JoinHandle,
};

use maftia_core::path::InstanceId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::{
    bodies::{Bodies, Hole, Plan},
    folder::{lock, make, remove, segment, segments},
    reader::Segment,
    sheet::{Room, Sheet},
    writer::{Order, Writer, begin},
};
use super::{Durable, Inscribe, Log, LogError, Lsn, Recovered, Snapshot, draft::Draft};

/// The version of the file format and of the logic that replays it.
const VERSION: u32 = 8;

/// How many written drafts wait to be filled again: one is filled while some are written.
const SPENT_MAX: usize = 8;

/// The largest draft that is kept, in bytes: what a party rarely needs shall not stay.
const SPENT_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    version: u32,
    party: String,
    /// The last record that is in the snapshot.
    at: Lsn,
    /// The trees of the snapshot, and how many bytes each has; they follow, one behind another.
    trees: Vec<(InstanceId, u64)>,
    /// How many bytes the sessions of the links have, which follow the trees.
    links: u64,
    /// What is left out of all these, in order, and where it stands.
    holes: Vec<Hole>,
}

/// A log on disk: segments of checked records, and one thread that writes and syncs them.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    party: String,
    draft: Draft,
    last: Lsn,
    grown: u64,
    durable: watch::Receiver<Durable>,
    orders: Option<mpsc::Sender<Order>>,
    spent: mpsc::Receiver<Vec<u8>>,
    writer: Option<JoinHandle<()>>,
    _lock: File,
}

impl Disk {
    /// Opens the log of `party` in `folder`, which is made if it is not there. With `sync` a record
    /// is durable when the disk has it, without when the operating system has it.
    pub fn open(folder: &Path, party: &str, sync: bool) -> Result<(Self, Recovered), LogError> {
        make(folder).map_err(|source| io(folder, source))?;
        let lock = lock(folder)?;
        let numbers = segments(folder)?;
        let (number, sheet, recovered, grown, older) = if let Some(number) = numbers.last().copied()
        {
            let path = segment(folder, number);
            let read = reader::read(folder, number, party)?;
            let older = lengths(folder, &read)?;
            let over = numbers.iter().filter(|old| **old != number && !older.contains_key(old));
            remove(folder, over)?;
            let sheet = go_on(&path, number, &read, sync);
            let sheet = sheet.map_err(|source| io(&path, source))?;
            (number, sheet, read.recovered, read.grown, older)
        } else {
            let nothing = Snapshot::default();
            let plan = Plan { holes: Vec::new(), parts: Vec::new() };
            let sheet = begin(folder, 1, party, (&nothing, &plan), sync, Room::default())?;
            (1, sheet, Recovered::default(), 0, BTreeMap::new())
        };
        let base = recovered.snapshot.as_ref().map_or(0, |snapshot| snapshot.at);
        let last = recovered.records.last().map_or(base, |(lsn, _)| *lsn);
        let (announce, durable) = watch::channel(Durable::UpTo(last));
        let (orders, inbox) = mpsc::channel();
        let (give_back, spent) = mpsc::sync_channel(SPENT_MAX);
        let (folder, party) = (folder.to_owned(), party.to_owned());
        let writer = Writer {
            folder: folder.clone(),
            party: party.clone(),
            number,
            sheet,
            sync,
            announce,
            older,
            bodies: Bodies::default(),
            spent: give_back,
        };
        let writer = std::thread::Builder::new()
            .name(format!("log {party}"))
            .spawn(move || writer.run(&inbox))
            .map_err(|source| io(&folder, source))?;
        let disk = Self {
            folder,
            party,
            draft: Draft::default(),
            last,
            grown,
            durable,
            orders: Some(orders),
            spent,
            writer: Some(writer),
            _lock: lock,
        };
        Ok((disk, recovered))
    }

    fn order(&self, order: Order) {
        // A writer that failed has said so; the party hears it and stops.
        let _ = self.orders.as_ref().expect("open until dropped").send(order);
    }
}

impl Log for Disk {
    fn append(&mut self, record: &dyn Inscribe) -> Lsn {
        self.grown += self.draft.add(record) as u64;
        self.last += 1;
        self.last
    }

    fn commit(&mut self) {
        if self.draft.is_empty() {
            return;
        }
        let empty = self.spent.try_recv().unwrap_or_default();
        let bytes = self.draft.replace(empty);
        self.order(Order::Append(self.last, bytes));
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    fn grown(&self) -> u64 {
        self.grown
    }

    fn replace(&mut self, snapshot: Snapshot) {
        self.commit();
        self.grown = 0;
        self.order(Order::Replace(snapshot, self.last));
    }

    fn reread(&mut self) -> Result<Recovered, LogError> {
        self.flush();
        let number = segments(&self.folder)?.pop().expect("an open log has a segment");
        Ok(reader::read(&self.folder, number, &self.party)?.recovered)
    }

    fn flush(&mut self) {
        self.commit();
        let (done, wait) = mpsc::channel();
        self.order(Order::Flush(done));
        let _ = wait.recv();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// The older segments that a snapshot names, and how long their logs are at most.
fn lengths(folder: &Path, read: &Segment) -> Result<BTreeMap<u64, u64>, LogError> {
    let length = |number: &u64| {
        let path = segment(folder, *number);
        let file = path.metadata().map_err(|source| io(&path, source))?;
        Ok((*number, file.len()))
    };
    read.older.iter().map(length).collect()
}

/// Goes on with a segment that was read.
fn go_on(path: &Path, number: u64, segment: &Segment, sync: bool) -> std::io::Result<Sheet> {
    // What was read may be in the memory of the operating system only: whoever wrote it may have been
    // killed before its sync. A cut must be on the disk in any case.
    let firm = sync || segment.torn;
    #[cfg(test)]
    tests::noted(path, firm);
    Sheet::resume(path, number, (sync, firm), &segment.log, segment.synced)
}

fn io(path: &Path, source: std::io::Error) -> LogError {
    LogError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests;
