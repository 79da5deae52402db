//! Says what a test wants: a closure changes, keeps or drops each message of one protocol.

use std::{fmt, sync::Arc};

use super::{Behaviour, Corrupted, Outgoing};
use crate::{protocol::Protocol, seat::Owner, wire};

type Change<P> = dyn Fn(Owner, &mut <P as Protocol>::Message) -> bool + Send + Sync;

/// See the [module](self).
pub struct Mutate<P: Protocol>(Arc<Change<P>>);

impl<P: Protocol> Mutate<P> {
    /// Each message of an instance of `P` passes through `change`, with its addressee; it is sent as
    /// it is then, unless the answer is `false`. All other frames pass unchanged.
    pub fn new(change: impl Fn(Owner, &mut P::Message) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(change))
    }
}

impl<P: Protocol> fmt::Debug for Mutate<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutate")
    }
}

impl<P: Protocol> Behaviour for Mutate<P> {
    fn name(&self) -> &'static str {
        "mutate"
    }

    fn send(&mut self, mut frame: Outgoing, cx: &mut Corrupted<'_>) {
        if frame.kind == Some(P::KIND)
            && let Ok(mut message) = wire::decode::<P::Message>(&frame.bytes)
        {
            if !(self.0)(frame.to, &mut message) {
                return;
            }
            frame.bytes = wire::encode(&message);
        }
        cx.send(frame);
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}
