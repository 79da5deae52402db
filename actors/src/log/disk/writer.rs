//! The thread that writes and syncs: many commits, one write, one sync.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    sync::mpsc,
};

use maftia_core::wire::{self, Part, Rope};
use tokio::sync::watch;

use super::{
    Header, SPENT_BYTES_MAX, VERSION,
    bodies::{Bodies, Plan},
    folder::{remove, segment},
    io,
    sheet::{Room, Sheet},
};
use crate::log::{Durable, LogError, Lsn, Snapshot};

/// The most commits that one write gathers, so that one sync serves them all.
const GATHER_MAX: usize = 256;

/// What the writer is told.
pub(super) enum Order {
    Append(Lsn, Rope),
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
    /// The older segments whose payloads the newest snapshot names, and how long their logs are.
    pub(super) older: BTreeMap<u64, u64>,
    pub(super) bodies: Bodies,
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
                Order::Append(lsn, draft) => {
                    self.append(&draft).map_err(|source| io(&self.folder, source))?;
                    self.give_back(draft.into_memory());
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

    fn append(&mut self, draft: &Rope) -> std::io::Result<()> {
        for part in draft.parts() {
            if let Part::Large(bytes) = part {
                self.bodies.note(bytes, self.number, self.sheet.len());
            }
            self.sheet.put(part.bytes())?;
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

    /// Begins a segment with a snapshot. What it names is on the disk before it is.
    fn replace(&mut self, snapshot: &Snapshot) -> Result<(), LogError> {
        self.settle().map_err(|source| io(&self.folder, source))?;
        let mut lengths = std::mem::take(&mut self.older);
        lengths.insert(self.number, self.sheet.len());
        let plan = self.bodies.plan(snapshot, &lengths);
        let kept = plan.segments();
        self.bodies.keep(&kept, snapshot);
        self.number += 1;
        let room = self.sheet.take_room();
        self.sheet =
            begin(&self.folder, self.number, &self.party, (snapshot, &plan), self.sync, room)?;
        self.note_written(&plan);
        let over: BTreeSet<_> = lengths.keys().copied().filter(|old| !kept.contains(old)).collect();
        remove(&self.folder, &over)?;
        lengths.retain(|old, _| kept.contains(old));
        self.older = lengths;
        Ok(())
    }

    /// What the new segment begins with can be named by the next one.
    fn note_written(&mut self, plan: &Plan<'_>) {
        let written: usize = plan.parts.iter().map(|part| part.bytes().len()).sum();
        let mut at = self.sheet.len() - written as u64;
        for part in &plan.parts {
            if let Part::Large(bytes) = part {
                self.bodies.note(bytes, self.number, at);
            }
            at += part.bytes().len() as u64;
        }
    }
}

/// Writes a new segment that holds a snapshot, whole or not at all.
pub(super) fn begin(
    folder: &Path,
    number: u64,
    party: &str,
    (snapshot, plan): (&Snapshot, &Plan<'_>),
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
        holes: plan.holes.clone(),
    });
    let path = segment(folder, number);
    let draft = path.with_extension("draft");
    let write = || {
        let mut sheet = Sheet::create(&draft, number, direct, room)?;
        sheet.put(&u32::try_from(header.len()).expect("a few names").to_le_bytes())?;
        sheet.put(&header)?;
        for part in &plan.parts {
            sheet.put(part.bytes())?;
        }
        sheet.flush()?;
        sheet.sync()?;
        std::fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()?;
        Ok(sheet)
    };
    write().map_err(|source| io(&path, source))
}
