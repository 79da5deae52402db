//! A log in memory: for one-process clusters, where a simulated crash loses the party but not this.

use std::sync::{Arc, Mutex, PoisonError};

use maftia_core::wire::Rope;
use tokio::sync::watch;

use super::{
    Durable, Inscribe, Log, LogError, Lsn, Record, Recovered, Snapshot,
    draft::{self, Draft},
};

/// How much memory is taken at a time: many small commits share one piece.
const CHUNK: usize = 256 << 10;

/// What outlives the party: the "disk" of a party in memory.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    snapshot: Option<Snapshot>,
    /// The records after the snapshot, in chunks.
    chunks: Vec<Rope>,
    last: Lsn,
}

/// A log that writes to a [`Store`]. What is committed is durable at once.
#[derive(Debug)]
pub struct Memory {
    store: Store,
    draft: Draft,
    last: Lsn,
    grown: u64,
    durable: watch::Sender<Durable>,
}

impl Store {
    /// Opens the log, and reads what it holds.
    pub fn open(&self) -> (Memory, Recovered) {
        let recovered = self.read();
        let (last, grown) = self.lock(|contents| {
            let chunks = contents.chunks.iter().map(|chunk| chunk.len() as u64);
            (contents.last, chunks.sum())
        });
        let memory = Memory {
            store: self.clone(),
            draft: Draft::default(),
            last,
            grown,
            durable: watch::channel(Durable::UpTo(last)).0,
        };
        (memory, recovered)
    }

    /// How many bytes it holds: the snapshot and the records after it.
    pub fn bytes(&self) -> u64 {
        self.lock(|contents| {
            let snapshot = contents.snapshot.iter().map(Snapshot::bytes);
            let chunks = contents.chunks.iter().map(|chunk| chunk.len() as u64);
            snapshot.chain(chunks).sum()
        })
    }

    fn read(&self) -> Recovered {
        self.lock(|contents| {
            let first = contents.snapshot.as_ref().map_or(0, |snapshot| snapshot.at) + 1;
            let records = contents.chunks.iter().flat_map(|chunk| draft::records(chunk.flat()));
            let read = |bytes| Record::read(&bytes).expect("our own record");
            Recovered {
                snapshot: contents.snapshot.clone(),
                records: (first..).zip(records.map(read)).collect(),
            }
        })
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Contents) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log for Memory {
    fn append(&mut self, record: &dyn Inscribe) -> Lsn {
        self.grown += self.draft.add(record) as u64;
        self.last += 1;
        self.last
    }

    fn commit(&mut self) {
        if self.draft.is_empty() {
            return;
        }
        let (store, draft, last) = (&self.store, &mut self.draft, self.last);
        store.lock(|contents| {
            contents.last = last;
            match contents.chunks.last_mut() {
                Some(chunk) if chunk.own() + draft.own() <= CHUNK => draft.move_to(chunk),
                _ => {
                    let mut chunk = Rope::onto(Vec::with_capacity(CHUNK));
                    draft.move_to(&mut chunk);
                    contents.chunks.push(chunk);
                }
            }
        });
        // Whoever commits releases what waited; nobody needs to be woken for that.
        self.durable.send_if_modified(|durable| {
            *durable = Durable::UpTo(last);
            false
        });
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.subscribe()
    }

    fn grown(&self) -> u64 {
        self.grown
    }

    fn replace(&mut self, snapshot: Snapshot) {
        self.commit();
        self.grown = 0;
        self.store.lock(|contents| {
            contents.chunks = Vec::new();
            contents.snapshot = Some(snapshot);
        });
    }

    fn reread(&mut self) -> Result<Recovered, LogError> {
        self.commit();
        Ok(self.store.read())
    }

    fn flush(&mut self) {
        self.commit();
    }
}
