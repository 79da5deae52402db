//! What members have ordered, and what positions bear: bytes inside of messages, which are read after
//! those. For whoever bends them; no binary contains it.

use super::{atomic, certified, fast, fifo, secure};
use crate::{protocol::Data, seat::Seat};

/// Something that stands inside of a message.
pub trait Content: Data {
    /// What it is.
    const NAME: &'static str;
    /// Whether the member at this seat takes it from another one.
    fn judge(&self, seat: &Seat) -> bool;
}

/// Takes each of them.
pub trait Contents {
    /// Takes one.
    fn content<T: Content>(&mut self);
}

/// All that there are.
pub fn all(take: &mut impl Contents) {
    atomic::contents(take);
    certified::contents(take);
    fast::contents(take);
    fifo::lane::contents(take);
    secure::contents(take);
}
