//! Records that are not committed yet, one behind another.

use bytes::Bytes;
use maftia_core::wire::Rope;

use super::Inscribe;

/// The bytes before a record: its length.
pub(super) const HEAD: usize = 4;

/// Each record is its length and its bytes.
#[derive(Debug, Default)]
pub(super) struct Draft(Rope);

impl Draft {
    /// Writes a record; how many bytes it took.
    pub(super) fn add(&mut self, record: &dyn Inscribe) -> usize {
        let head = self.0.gap::<HEAD>();
        let at = self.0.len();
        record.inscribe(&mut self.0);
        let len = self.0.len() - at;
        let bytes = u32::try_from(len).expect("a record is a frame and a few names").to_le_bytes();
        self.0.fill(head, bytes);
        len + HEAD
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was written, and a draft that goes on in `empty`.
    pub(super) fn replace(&mut self, empty: Vec<u8>) -> Rope {
        std::mem::replace(&mut self.0, Rope::onto(empty))
    }

    /// Moves what was written behind other records, and empties the draft.
    pub(super) fn move_to(&mut self, to: &mut Rope) {
        to.append(&mut self.0);
    }

    /// How many bytes it does not share.
    pub(super) fn own(&self) -> usize {
        self.0.own()
    }
}

/// Where the records of a draft lie: after each head, so many bytes.
pub(super) fn records(mut rest: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let len = u32::from_le_bytes(*rest.first_chunk::<HEAD>()?) as usize;
        let record = rest.slice(HEAD..HEAD + len);
        rest = rest.slice(HEAD + len..);
        Some(record)
    })
}
