//! Faults that one owner is made to have, for demonstrations and tests.
//!
//! A liar lies *before* its frames are numbered and sealed, as a corrupted owner would: its peers see
//! authentic frames with false content. After a lie its numbers are its own; it is not expected to
//! keep its promises over a restart.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use maftia_core::{path::InstanceId, seat::Owner};
use tokio::sync::watch;

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// It goes as it is.
    Pass,
    /// It never goes.
    Drop,
    /// This body goes in its place.
    Replace(Bytes),
    /// It goes, and these frames after it.
    Also(Vec<(InstanceId, Bytes)>),
    /// It goes after this time.
    Delay(Duration),
}

/// Decides for each frame, from whom it is for, which instance, and its body.
pub type Liar = Box<dyn FnMut(&Owner, &InstanceId, &Bytes) -> Tamper + Send>;

/// The faults of one owner. May be set from any thread.
#[derive(Default)]
pub struct Lab {
    cut: watch::Sender<bool>,
    delay_micros: AtomicU64,
    lying: AtomicBool,
    liar: Mutex<Option<Liar>>,
}

impl Lab {
    /// Cuts the owner off from everybody, or lets it back.
    pub fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Whether the owner is cut off.
    pub fn is_cut(&self) -> bool {
        *self.cut.borrow()
    }

    /// Makes everything that the owner writes late. At most 256 KiB a peer are under way at a time,
    /// so a delay also slows.
    pub fn delay(&self, delay: Duration) {
        self.delay_micros.store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    /// Makes the owner a liar, or honest again.
    pub fn tamper(&self, liar: Option<Liar>) {
        self.lying.store(liar.is_some(), Ordering::Relaxed);
        *self.liar.lock().unwrap_or_else(PoisonError::into_inner) = liar;
    }

    /// Takes all faults back.
    pub fn heal(&self) {
        self.cut(false);
        self.delay(Duration::ZERO);
        self.tamper(None);
    }

    /// How late everything is.
    pub(super) fn late(&self) -> Duration {
        Duration::from_micros(self.delay_micros.load(Ordering::Relaxed))
    }

    /// Returns once the owner is cut off, or is not.
    pub(super) async fn until(&self, cut: bool) {
        // The sender is in `self`, so it cannot be gone.
        let _ = self.cut.subscribe().wait_for(|now| *now == cut).await;
    }

    /// Whether there is anything to ask [`judge`](Self::judge).
    pub(super) fn is_lying(&self) -> bool {
        self.lying.load(Ordering::Relaxed)
    }

    /// What becomes of this frame.
    pub(super) fn judge(&self, to: &Owner, instance: &InstanceId, body: &Bytes) -> Tamper {
        let mut liar = self.liar.lock().unwrap_or_else(PoisonError::into_inner);
        liar.as_mut().map_or(Tamper::Pass, |liar| liar(to, instance, body))
    }
}

impl std::fmt::Debug for Lab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lab")
            .field("cut", &self.is_cut())
            .field("delay", &self.late())
            .field("lying", &self.is_lying())
            .finish()
    }
}
