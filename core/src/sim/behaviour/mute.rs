//! Listens and says nothing.

use super::{Behaviour, Corrupted, Outgoing};

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Mute;

impl Behaviour for Mute {
    fn name(&self) -> &'static str {
        "mute"
    }

    fn send(&mut self, _: Outgoing, _: &mut Corrupted<'_>) {}

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(*self)
    }
}
