//! Bytes: MessagePack with limits.
//!
//! Structs travel as arrays, enum variants as integers, byte strings as `bin`. What is signed is the
//! received bytes or a digest of content, never a re-encoding of a decoded value.

mod codec;
pub mod limits;

pub use codec::{DecodeError, decode, decode_own, encode};
