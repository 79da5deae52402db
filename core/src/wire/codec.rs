//! Encoding and decoding of plain data.

use bytes::Bytes;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{bulk, compact::Compact, limits};

/// Room for a control message, so that most are written without growing the buffer.
const SMALL: usize = 128;

/// Why bytes are not a value of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any value may be.
    #[error("{len} bytes are more than the limit of {max}")]
    TooLong {
        /// The length of the input.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Not the encoding of a value of this type.
    #[error("{0}")]
    Malformed(String),
    /// A value, and then more bytes.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// The bytes of a value.
///
/// # Panics
/// When the value cannot be encoded, which only a type that breaks the rules of [`crate::wire`] can.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Bytes {
    let mut bytes = Vec::with_capacity(SMALL);
    encode_onto(value, &mut bytes);
    bytes.into()
}

/// Writes the bytes of a value behind others, for those who gather many.
///
/// # Panics
/// As [`encode`] does.
pub fn encode_onto<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) {
    let mut serializer = Compact::onto(std::mem::take(to));
    value.serialize(&mut serializer).expect("plain data can be encoded");
    *to = serializer.into_bytes();
}

/// The value that these bytes encode, all of them.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > limits::FRAME_MAX {
        return Err(DecodeError::TooLong { len: bytes.len(), max: limits::FRAME_MAX });
    }
    decode_own(bytes)
}

/// The value that a frame encodes. Its [`bulk`](super::bulk) shares the bytes of the frame.
pub fn decode_shared<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, DecodeError> {
    bulk::lending(bytes, || decode(bytes))
}

/// The value that bytes of this party's own making encode, however many: snapshots and log records.
pub fn decode_own<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(limits::DEPTH_MAX);
    let value = T::deserialize(&mut deserializer)
        .map_err(|error| DecodeError::Malformed(truncated(&error.to_string())))?;
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        // A byte follows, or it could not have been read for the beginning of a value.
        _ => Err(DecodeError::Trailing(behind::<T>(bytes))),
    }
}

/// How many bytes stand behind the value. Only a reader that copies can tell.
fn behind<T: DeserializeOwned>(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(limits::DEPTH_MAX);
    let _ = T::deserialize(&mut deserializer);
    rest.len()
}

/// An error text can quote a peer's bytes: no control characters, and not at any length.
fn truncated(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(120).collect()
}

#[cfg(test)]
mod tests;
