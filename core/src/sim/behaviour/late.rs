//! Says everything when all others have fallen silent, and not before.

use super::{Behaviour, Corrupted, Outgoing};

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Late {
    held: Vec<Outgoing>,
}

impl Behaviour for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn send(&mut self, frame: Outgoing, _: &mut Corrupted<'_>) {
        self.held.push(frame);
    }

    fn idle(&mut self, cx: &mut Corrupted<'_>) {
        self.held.drain(..).for_each(|frame| cx.send(frame));
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}
