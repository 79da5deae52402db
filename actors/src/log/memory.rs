//! A log in memory: for one-process clusters, where a simulated crash loses the party but not this.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use maftia_core::wire;
use tokio::sync::watch;

use super::{Durable, Log, LogError, Lsn, Record, Recovered, Snapshot, encoded};

/// What outlives the party: the "disk" of a party in memory.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    snapshot: Option<Snapshot>,
    records: Vec<(Lsn, Bytes)>,
    last: Lsn,
}

/// A log that writes to a [`Store`]. What is appended is durable at once.
#[derive(Debug)]
pub struct Memory {
    store: Store,
    grown: u64,
    durable: watch::Sender<Durable>,
}

impl Store {
    /// Opens the log, and reads what it holds.
    pub fn open(&self) -> (Memory, Recovered) {
        let recovered = self.read();
        let last = self.lock(|contents| contents.last);
        let memory = Memory {
            store: self.clone(),
            grown: 0,
            durable: watch::channel(Durable::UpTo(last)).0,
        };
        (memory, recovered)
    }

    fn read(&self) -> Recovered {
        self.lock(|contents| Recovered {
            snapshot: contents.snapshot.clone(),
            records: contents
                .records
                .iter()
                .map(|(lsn, bytes)| (*lsn, wire::decode_own(bytes).expect("our own record")))
                .collect(),
        })
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Contents) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log for Memory {
    fn append(&mut self, record: &Record) -> Lsn {
        let bytes = encoded(record);
        self.grown += bytes.len() as u64;
        let lsn = self.store.lock(|contents| {
            contents.last += 1;
            contents.records.push((contents.last, bytes));
            contents.last
        });
        self.durable.send_replace(Durable::UpTo(lsn));
        lsn
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.subscribe()
    }

    fn grown(&self) -> u64 {
        self.grown
    }

    fn replace(&mut self, snapshot: &Snapshot) {
        self.grown = 0;
        self.store.lock(|contents| {
            contents.records.clear();
            contents.snapshot = Some(snapshot.clone());
        });
    }

    fn reread(&mut self) -> Result<Recovered, LogError> {
        Ok(self.store.read())
    }

    fn flush(&mut self) {}
}
