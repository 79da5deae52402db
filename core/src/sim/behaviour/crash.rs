//! Stops for ever after some frames, perhaps in the middle of telling everybody.

use super::{Behaviour, Corrupted, Outgoing};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Crash {
    left: u64,
}

impl Crash {
    /// Stops after so many frames; a frame to each of four parties counts four.
    pub const fn after(frames: u64) -> Self {
        Self { left: frames }
    }
}

impl Behaviour for Crash {
    fn name(&self) -> &'static str {
        "crash"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        if self.left > 0 {
            self.left -= 1;
            cx.send(frame);
        }
    }

    fn runs(&self) -> bool {
        self.left > 0
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}
