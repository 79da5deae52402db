//! A log on disk: segments of checked records, and one thread that writes and syncs them.
//!
//! A segment begins with a header that names its party, then the snapshot in pieces, then records.
//! Each record is its length, the CRC-32C of its length, the CRC-32C of its bytes chained to the one
//! before, and its bytes: a record that is missing, moved or changed breaks the chain. A torn end is
//! what a crash leaves and is cut off: a file that ends before its last record does, or goes on with
//! zeros only. Anything else is damage, and a party that cannot know what it said must not speak.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread::JoinHandle,
};

use maftia_core::wire;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    Durable, Inscribe, Log, LogError, Lsn, Record, Recovered, Snapshot,
    draft::{Draft, HEAD},
};

/// The version of the file format and of the logic that replays it.
const VERSION: u32 = 3;

/// The most commits that one write gathers, so that one sync serves them all.
const GATHER_MAX: usize = 256;

/// The largest piece of a snapshot, in bytes. A snapshot takes as many as it needs, so that what was
/// written can be read, however large.
const PIECE: usize = if cfg!(test) { 256 } else { 64 << 20 };

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    version: u32,
    party: String,
    /// How many bytes of snapshot follow.
    snapshot: u64,
}

enum Order {
    Append(Lsn, Vec<u8>),
    Replace(Snapshot, Lsn),
    Flush(mpsc::Sender<()>),
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
    writer: Option<JoinHandle<()>>,
    _lock: File,
}

impl Disk {
    /// Opens the log of `party` in `folder`, which is made if it is not there. With `sync` a record
    /// is durable when the disk has it, without when the operating system has it.
    pub fn open(folder: &Path, party: &str, sync: bool) -> Result<(Self, Recovered), LogError> {
        make(folder).map_err(|source| io(folder, source))?;
        let lock = lock(folder)?;
        let newest = newest(folder)?;
        let (number, chain, file, recovered, grown) = if let Some((number, path)) = newest {
            let (recovered, chain, grown) = recover(&path, party)?;
            let file = OpenOptions::new().append(true).open(&path);
            let file = file.map_err(|source| io(&path, source))?;
            if sync {
                // What was read may be in the memory of the operating system only: whoever wrote it
                // may have been killed before its sync.
                through(&file, &path).map_err(|source| io(&path, source))?;
            }
            (number, chain, file, recovered, grown)
        } else {
            let (file, chain) = begin(folder, 1, party, Snapshot::default())?;
            (1, chain, file, Recovered::default(), 0)
        };
        let base = recovered.snapshot.as_ref().map_or(0, |snapshot| snapshot.at);
        let last = recovered.records.last().map_or(base, |(lsn, _)| *lsn);
        let (announce, durable) = watch::channel(Durable::UpTo(last));
        let (orders, inbox) = mpsc::channel();
        let writer = Writer {
            folder: folder.to_owned(),
            party: party.to_owned(),
            number,
            chain,
            file: BufWriter::with_capacity(1 << 20, file),
            sync,
            announce,
        };
        let writer = std::thread::Builder::new()
            .name(format!("log {party}"))
            .spawn(move || writer.run(&inbox))
            .map_err(|source| io(folder, source))?;
        let disk = Self {
            folder: folder.to_owned(),
            party: party.to_owned(),
            draft: Draft::default(),
            last,
            grown,
            durable,
            orders: Some(orders),
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
        if !self.draft.is_empty() {
            let bytes = self.draft.take();
            self.order(Order::Append(self.last, bytes));
        }
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
        let (_, path) = newest(&self.folder)?.expect("an open log has a segment");
        Ok(recover(&path, &self.party)?.0)
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

struct Writer {
    folder: PathBuf,
    party: String,
    number: u64,
    chain: u32,
    file: BufWriter<File>,
    sync: bool,
    announce: watch::Sender<Durable>,
}

impl Writer {
    fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        while let Ok(first) = inbox.recv() {
            let more = std::iter::from_fn(|| inbox.try_recv().ok()).take(GATHER_MAX);
            let orders: Vec<Order> = std::iter::once(first).chain(more).collect();
            if let Err(error) = self.obey(orders) {
                // Never again on this file: after a failed sync nobody knows what it holds.
                self.announce.send_replace(Durable::Failed(error.to_string().into()));
                return;
            }
        }
    }

    fn obey(&mut self, orders: Vec<Order>) -> Result<(), LogError> {
        let (mut last, mut flushed) = (None, Vec::new());
        for order in orders {
            match order {
                Order::Append(lsn, bytes) => {
                    let bytes = seal(bytes, &mut self.chain);
                    self.file.write_all(&bytes).map_err(|source| io(&self.folder, source))?;
                    last = Some(lsn);
                }
                Order::Replace(snapshot, lsn) => {
                    self.replace(snapshot)?;
                    last = Some(lsn);
                }
                Order::Flush(done) => flushed.push(done),
            }
        }
        self.settle().map_err(|source| io(&self.folder, source))?;
        if let Some(lsn) = last {
            self.announce.send_replace(Durable::UpTo(lsn));
        }
        for done in flushed {
            // Whoever waited may have given up.
            let _ = done.send(());
        }
        Ok(())
    }

    fn settle(&mut self) -> std::io::Result<()> {
        self.file.flush()?;
        if self.sync { self.file.get_ref().sync_data() } else { Ok(()) }
    }

    fn replace(&mut self, snapshot: Snapshot) -> Result<(), LogError> {
        let old = segment(&self.folder, self.number);
        self.number += 1;
        let (file, chain) = begin(&self.folder, self.number, &self.party, snapshot)?;
        self.chain = chain;
        self.file = BufWriter::with_capacity(1 << 20, file);
        fs::remove_file(&old).map_err(|source| io(&old, source))
    }
}

/// Makes a folder that outlives a loss of power, with those above it.
fn make(folder: &Path) -> std::io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(folder)?;
    for above in missing.into_iter().filter_map(Path::parent) {
        // A relative path ends in an empty one, which is where we are.
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        through(&File::open(above)?, above)?;
    }
    Ok(())
}

/// Waits until the disk has a file, or the names in a folder.
fn through(file: &File, path: &Path) -> std::io::Result<()> {
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    let _ = path;
    file.sync_all()
}

/// Writes a new segment that holds a snapshot, whole or not at all.
fn begin(
    folder: &Path,
    number: u64,
    party: &str,
    snapshot: Snapshot,
) -> Result<(File, u32), LogError> {
    let mut whole = Vec::with_capacity(snapshot.bytes() as usize + 1_024);
    wire::encode_onto(&snapshot, &mut whole);
    let header = Header { version: VERSION, party: party.into(), snapshot: whole.len() as u64 };
    let header = wire::encode(&header);
    let path = segment(folder, number);
    let draft = path.with_extension("draft");
    let write = || {
        let mut file = File::create(&draft)?;
        let mut chain = 0;
        write_record(&mut file, &mut chain, &header)?;
        for piece in whole.chunks(PIECE) {
            write_record(&mut file, &mut chain, piece)?;
        }
        file.sync_data()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()?;
        Ok((file, chain))
    };
    write().map_err(|source| io(&path, source))
}

/// Puts the check sums into a draft.
fn seal(mut draft: Vec<u8>, chain: &mut u32) -> Vec<u8> {
    let mut at = 0;
    while let Some((place, rest)) = draft[at..].split_at_mut_checked(HEAD) {
        let len = u32::from_le_bytes(place[..4].try_into().expect("four bytes"));
        let bytes = &rest[..len as usize];
        place.copy_from_slice(&head(len, chain, bytes));
        at += HEAD + len as usize;
    }
    draft
}

/// What stands before a record of this length.
fn head(len: u32, chain: &mut u32, bytes: &[u8]) -> [u8; HEAD] {
    let len = len.to_le_bytes();
    // The sum of the length is chained too: no head is right in another place.
    let sum = crc32c::crc32c_append(*chain, &len);
    *chain = crc32c::crc32c_append(sum, bytes);
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&len);
    head[4..8].copy_from_slice(&sum.to_le_bytes());
    head[8..].copy_from_slice(&chain.to_le_bytes());
    head
}

fn write_record(to: &mut impl Write, chain: &mut u32, bytes: &[u8]) -> std::io::Result<()> {
    let len = u32::try_from(bytes.len()).expect("a piece or a header");
    to.write_all(&head(len, chain, bytes))?;
    to.write_all(bytes)
}

/// Reads a segment, cutting off a torn end. Gives the chain at its end, and how many bytes of records
/// follow its snapshot.
fn recover(path: &Path, party: &str) -> Result<(Recovered, u32, u64), LogError> {
    let bytes = fs::read(path).map_err(|source| io(path, source))?;
    let mut reader = Reader { bytes: &bytes, offset: 0, chain: 0 };
    let damaged = |offset: usize, what: &str| LogError::Damaged {
        path: path.display().to_string(),
        offset: offset as u64,
        what: what.into(),
    };
    let header = reader.next().ok_or_else(|| damaged(0, "no header"))?;
    let header: Header =
        wire::decode_own(header).map_err(|error| damaged(0, &error.to_string()))?;
    if header.party != party || header.version != VERSION {
        return Err(LogError::Foreign {
            path: path.display().to_string(),
            found: format!("{} (version {})", header.party, header.version),
            expected: format!("{party} (version {VERSION})"),
        });
    }
    let snapshot = reader.snapshot(header.snapshot);
    let snapshot = snapshot.ok_or_else(|| damaged(reader.offset, "no whole snapshot"))?;
    let snapshot: Snapshot =
        wire::decode_own(&snapshot).map_err(|error| damaged(reader.offset, &error.to_string()))?;
    let mut lsn = snapshot.at;
    let begin = reader.offset;
    let mut records = Vec::new();
    while let Some(record) = reader.next() {
        lsn += 1;
        let record =
            Record::read(record).map_err(|error| damaged(reader.offset, &error.to_string()))?;
        records.push((lsn, record));
    }
    if reader.offset < bytes.len() {
        if !reader.is_torn() {
            return Err(damaged(reader.offset, "a record does not verify, and is no torn end"));
        }
        let cut = OpenOptions::new().write(true).open(path);
        let cut = cut.and_then(|file| file.set_len(reader.offset as u64).and(file.sync_data()));
        cut.map_err(|source| io(path, source))?;
    }
    let snapshot = (snapshot != Snapshot::default()).then_some(snapshot);
    let grown = (reader.offset - begin) as u64;
    Ok((Recovered { snapshot, records }, reader.chain, grown))
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    chain: u32,
}

impl<'a> Reader<'a> {
    /// The next record that verifies.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes[self.offset..].split_first_chunk::<HEAD>()?;
        let record = rest.get(..self.len(head)?)?;
        let mut chain = self.chain;
        if self::head(record.len() as u32, &mut chain, record) != *head {
            return None;
        }
        self.chain = chain;
        self.offset += HEAD + record.len();
        Some(record)
    }

    /// How long the next record is, if its head can be believed.
    fn len(&self, head: &[u8; HEAD]) -> Option<usize> {
        let (len, sums) = head.split_first_chunk::<4>()?;
        let right = sums.starts_with(&crc32c::crc32c_append(self.chain, len).to_le_bytes());
        right.then(|| u32::from_le_bytes(*len) as usize)
    }

    /// The snapshot, put together.
    fn snapshot(&mut self, len: u64) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        while (whole.len() as u64) < len {
            whole.extend_from_slice(self.next()?);
        }
        (whole.len() as u64 == len).then_some(whole)
    }

    /// Whether a crash can have left the rest: it is shorter than its record, or was never written.
    /// A record that is all there and does not verify was changed, though it may be the last.
    fn is_torn(&self) -> bool {
        let rest = &self.bytes[self.offset..];
        let Some((head, body)) = rest.split_first_chunk::<HEAD>() else { return true };
        rest.iter().all(|byte| *byte == 0) || self.len(head).is_some_and(|len| body.len() < len)
    }
}

fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

/// The newest whole segment. Older ones are left-overs of a crash between rename and removal.
fn newest(folder: &Path) -> Result<Option<(u64, PathBuf)>, LogError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| io(folder, source))? {
        let name = entry.map_err(|source| io(folder, source))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    let newest = numbers.pop();
    for old in numbers {
        let path = segment(folder, old);
        fs::remove_file(&path).map_err(|source| io(&path, source))?;
    }
    Ok(newest.map(|number| (number, segment(folder, number))))
}

/// Two processes that write one log would make one party say two things.
fn lock(folder: &Path) -> Result<File, LogError> {
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| io(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(LogError::InUse { path: folder.display().to_string() })
        }
        Err(fs::TryLockError::Error(source)) => Err(io(&path, source)),
    }
}

fn io(path: &Path, source: std::io::Error) -> LogError {
    LogError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests;
