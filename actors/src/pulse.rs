//! Finds a handler that never comes back: nobody inside the thread can tell.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use maftia_core::path::InstanceId;

/// A handler that runs longer than this is frozen. The longest honest step checks a few hundred
/// signatures; this is a hundred times that.
pub const FROZEN_AFTER: Duration = Duration::from_secs(5);

/// What a party's thread is doing. The thread counts, a watcher finds a count that stands still: so
/// a handler costs two stores, and no clock is read for it.
#[derive(Debug, Default)]
pub struct Pulse {
    /// How many handlers began.
    beats: AtomicU64,
    /// The number of the instance whose handler runs; 0 when there is none.
    doing: AtomicU64,
    names: Mutex<Names>,
}

/// The instances by the numbers that they were given, from 1.
#[derive(Debug, Default)]
struct Names {
    last: u64,
    names: BTreeMap<u64, InstanceId>,
}

impl Pulse {
    /// A number for an instance.
    pub(crate) fn enter(&self, instance: &InstanceId) -> u64 {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.last += 1;
        let number = names.last;
        names.names.insert(number, instance.clone());
        number
    }

    /// The instance with this number is over.
    pub(crate) fn forget(&self, number: u64) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).names.remove(&number);
    }

    /// A handler of the instance with this number begins.
    pub(crate) fn begin(&self, number: u64) {
        self.doing.store(number, Ordering::Relaxed);
        // Only the party's own thread writes, so nothing is lost between the load and the store.
        self.beats.store(self.beats.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The handler came back.
    pub(crate) fn end(&self) {
        self.doing.store(0, Ordering::Relaxed);
    }

    /// The handler that runs, by its count and the number of its instance.
    fn running(&self) -> Option<(u64, u64)> {
        let doing = self.doing.load(Ordering::Relaxed);
        (doing > 0).then(|| (self.beats.load(Ordering::Relaxed), doing))
    }

    fn name(&self, number: u64) -> Option<InstanceId> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.names.get(&number).cloned()
    }

    /// Watches on a thread of its own and tells `frozen` once, with the name of the instance whose
    /// handler ran for all of `after`. Ends when the party is gone.
    pub fn watch(
        self: &Arc<Self>,
        after: Duration,
        frozen: impl FnOnce(InstanceId) + Send + 'static,
    ) {
        let pulse = Arc::downgrade(self);
        let watch = move || {
            let mut seen = (None, Instant::now());
            while let Some(pulse) = pulse.upgrade() {
                let running = pulse.running();
                if running.is_none() || running != seen.0 {
                    seen = (running, Instant::now());
                } else if seen.1.elapsed() >= after
                    && let Some(instance) = running.and_then(|(_, number)| pulse.name(number))
                {
                    return frozen(instance);
                }
                drop(pulse);
                std::thread::sleep(after / 10);
            }
        };
        std::thread::Builder::new()
            .name("pulse".into())
            .spawn(watch)
            .expect("a process can start its threads");
    }
}
