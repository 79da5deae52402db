//! Bytes: MessagePack with limits.
//!
//! Structs travel as arrays, enum variants as integers, byte strings as `bin`. What is signed is the
//! received bytes or a digest of content, never a re-encoding of a decoded value.
//!
//! Rules for wire types: no field is skipped, none is flattened, no enum is untagged, and no type
//! contains itself: the limit on depth does not count variants.

mod codec;
mod compact;
pub mod limits;

pub use codec::{DecodeError, decode, decode_own, encode, encode_onto};
