//! Finds a handler that never comes back: nobody inside the thread can tell.

use std::{
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

/// What a party's thread is doing, and since when. Written by the thread, read by a watcher.
#[derive(Debug)]
pub struct Pulse {
    epoch: Instant,
    /// Microseconds since `epoch` at which the present handler began; 0 when there is none.
    since: AtomicU64,
    doing: Mutex<Option<InstanceId>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { epoch: Instant::now(), since: AtomicU64::new(0), doing: Mutex::default() }
    }
}

impl Pulse {
    /// A handler of this instance begins.
    pub(crate) fn begin(&self, instance: &InstanceId) {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if doing.as_ref() != Some(instance) {
            *doing = Some(instance.clone());
        }
        drop(doing);
        let now = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.since.store(now.max(1), Ordering::Relaxed);
    }

    /// The handler came back.
    pub(crate) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// The instance whose handler does not come back, if there is one.
    pub fn frozen(&self, after: Duration) -> Option<InstanceId> {
        let since = self.since.load(Ordering::Relaxed);
        let began = Duration::from_micros(since);
        if since == 0 || self.epoch.elapsed().saturating_sub(began) < after {
            return None;
        }
        self.doing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Watches on a thread of its own and tells `frozen` once, with the name of the instance. Ends
    /// when the party is gone.
    pub fn watch(
        self: &Arc<Self>,
        after: Duration,
        frozen: impl FnOnce(InstanceId) + Send + 'static,
    ) {
        let pulse = Arc::downgrade(self);
        let watch = move || {
            while let Some(pulse) = pulse.upgrade() {
                if let Some(instance) = pulse.frozen(after) {
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
