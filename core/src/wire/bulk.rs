//! Byte strings that are shared on their way in and out: `#[serde(with = "wire::bulk")]`.
//!
//! serde hands bytes on as slices, so whoever writes or reads them must copy. Here the [`Bytes`] that a
//! slice is of lie beside it, on this thread and for as long as it takes to write or read that one
//! field: a [`Rope`](super::Rope) shares them with the value, and a decoded value shares them with
//! what it was [decoded from](super::decode_shared). The encoding is that of plain bytes.

use std::{cell::RefCell, fmt};

use bytes::Bytes;
use serde::{
    de::{Deserializer, Error, Visitor},
    ser::Serializer,
};

/// Fewer bytes are copied: what is noted of a shared piece costs as much.
pub const BULK_MIN: usize = 4 << 10;

/// The name under which the serializer is told that bytes lie beside the slice.
pub(super) const NAME: &str = "maftia bulk";

thread_local! {
    /// The bytes of the slice that is just being written.
    static OUT: RefCell<Option<Bytes>> = const { RefCell::new(None) };
    /// The bytes that are just being read.
    static IN: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}

/// Writes bytes that may be shared.
pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    let slice = serde_bytes::Bytes::new(bytes);
    if bytes.len() < BULK_MIN {
        return serializer.serialize_bytes(slice);
    }
    OUT.set(Some(bytes.clone()));
    let result = serializer.serialize_newtype_struct(NAME, slice);
    OUT.take();
    result
}

/// The bytes beside the slice that is just being written.
pub(super) fn outgoing() -> Option<Bytes> {
    OUT.take()
}

/// Lets what `read` reads from `bytes` share them.
pub(super) fn lending<T>(bytes: &Bytes, read: impl FnOnce() -> T) -> T {
    let before = IN.replace(Some(bytes.clone()));
    let value = read();
    IN.set(before);
    value
}

/// Reads bytes that may be shared.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    deserializer.deserialize_bytes(Reader)
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: Error>(self, slice: &'de [u8]) -> Result<Bytes, E> {
        Ok(shared(slice).unwrap_or_else(|| Bytes::copy_from_slice(slice)))
    }

    fn visit_bytes<E: Error>(self, slice: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(slice))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }
}

/// The slice as a part of what is being read. A small part of a large frame is copied: it would hold
/// all of the frame, and a peer could make a party keep many times what it counts.
fn shared(slice: &[u8]) -> Option<Bytes> {
    IN.with_borrow(|bytes| {
        let whole = bytes.as_ref()?;
        let (begin, end) = (whole.as_ptr() as usize, whole.as_ptr() as usize + whole.len());
        let at = slice.as_ptr() as usize;
        let within = at >= begin && at + slice.len() <= end;
        let worth = slice.len() >= BULK_MIN && slice.len() >= whole.len() / 2;
        (within && worth).then(|| whole.slice_ref(slice))
    })
}
