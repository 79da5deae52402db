//! Bytes: MessagePack with limits.
//!
//! Structs travel as arrays, enum variants as integers, byte strings as `bin`. What is signed is the
//! received bytes or a digest of content, never a re-encoding of a decoded value.
//!
//! Rules for wire types: no field is skipped, none is flattened, no enum is untagged, and no type
//! contains itself: the limit on depth does not count variants.

pub mod bulk;
mod codec;
mod compact;
pub mod limits;
mod rope;

pub use codec::{DecodeError, decode, decode_own, decode_shared, encode, encode_onto};
pub use rope::{Part, Rope};
