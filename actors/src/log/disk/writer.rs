//! The thread that writes and syncs: many commits, one write, one sync.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::mpsc,
};

use maftia_core::wire;
use tokio::sync::watch;

use super::{
    Header, SPENT_BYTES_MAX, VERSION,
    folder::segment,
    io,
    sheet::{Room, Sheet},
};
use crate::log::{Durable, LogError, Lsn, Snapshot};

/// The most commits that one write gathers, so that one sync serves them all.
const GATHER_MAX: usize = 256;

/// What the writer is told.
pub(super) enum Order {
    Append(Lsn, Vec<u8>),
    Replace(Snapshot, Lsn),
    Flush(mpsc::Sender<()>),
}

/// What the writer's thread has.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) party: String,
    pub(super) number: u64,
    pub(super) sheet: Sheet,
    pub(super) sync: bool,
    pub(super) announce: watch::Sender<Durable>,
    /// Where drafts go when they are written, to be filled again.
    pub(super) spent: mpsc::SyncSender<Vec<u8>>,
}

impl Writer {
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        while let Ok(first) = inbox.recv() {
            let more = std::iter::from_fn(|| inbox.try_recv().ok()).take(GATHER_MAX);
            if let Err(error) = self.obey(std::iter::once(first).chain(more)) {
                // Never again on this file: after a failed sync nobody knows what it holds.
                self.announce.send_replace(Durable::Failed(error.to_string().into()));
                return;
            }
        }
    }

    fn obey(&mut self, orders: impl Iterator<Item = Order>) -> Result<(), LogError> {
        let (mut last, mut flushed) = (None, Vec::new());
        for order in orders {
            match order {
                Order::Append(lsn, bytes) => {
                    self.sheet.put(&bytes).map_err(|source| io(&self.folder, source))?;
                    self.give_back(bytes);
                    last = Some(lsn);
                }
                Order::Replace(snapshot, lsn) => {
                    self.replace(&snapshot)?;
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

    fn give_back(&self, mut draft: Vec<u8>) {
        if draft.capacity() <= SPENT_BYTES_MAX {
            draft.clear();
            // More of them than the party can use are let go.
            let _ = self.spent.try_send(draft);
        }
    }

    fn settle(&mut self) -> std::io::Result<()> {
        self.sheet.flush()?;
        if self.sync { self.sheet.sync() } else { Ok(()) }
    }

    fn replace(&mut self, snapshot: &Snapshot) -> Result<(), LogError> {
        let old = segment(&self.folder, self.number);
        self.number += 1;
        let room = self.sheet.take_room();
        self.sheet = begin(&self.folder, self.number, &self.party, snapshot, self.sync, room)?;
        fs::remove_file(&old).map_err(|source| io(&old, source))
    }
}

/// Writes a new segment that holds a snapshot, whole or not at all.
pub(super) fn begin(
    folder: &Path,
    number: u64,
    party: &str,
    snapshot: &Snapshot,
    direct: bool,
    room: Room,
) -> Result<Sheet, LogError> {
    let trees = snapshot.trees.iter().map(|(id, tree)| (id.clone(), tree.len() as u64));
    let header = wire::encode(&Header {
        version: VERSION,
        party: party.into(),
        at: snapshot.at,
        trees: trees.collect(),
        links: snapshot.links.len() as u64,
    });
    let path = segment(folder, number);
    let draft = path.with_extension("draft");
    let write = || {
        let mut sheet = Sheet::create(&draft, number, direct, room)?;
        sheet.put(&u32::try_from(header.len()).expect("a few names").to_le_bytes())?;
        sheet.put(&header)?;
        for (_, tree) in &snapshot.trees {
            sheet.put(tree)?;
        }
        sheet.put(&snapshot.links)?;
        sheet.flush()?;
        sheet.sync()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()?;
        Ok(sheet)
    };
    write().map_err(|source| io(&path, source))
}
