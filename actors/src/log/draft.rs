//! Records that are not committed yet, one behind another.

use super::Inscribe;

/// The bytes before a record: its length.
pub(super) const HEAD: usize = 4;

/// Each record is its length and its bytes.
#[derive(Debug, Default)]
pub(super) struct Draft(Vec<u8>);

impl Draft {
    /// Writes a record; how many bytes it took.
    pub(super) fn add(&mut self, record: &dyn Inscribe) -> usize {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; HEAD]);
        record.inscribe(&mut self.0);
        let len = self.0.len() - at - HEAD;
        let head = u32::try_from(len).expect("a record is a frame and a few names").to_le_bytes();
        self.0[at..at + HEAD].copy_from_slice(&head);
        len + HEAD
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was written, and a draft that goes on in `empty`.
    pub(super) fn replace(&mut self, empty: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.0, empty)
    }

    /// Copies what was written behind other records, and empties the draft.
    pub(super) fn move_to(&mut self, to: &mut Vec<u8>) {
        to.append(&mut self.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Where the records of a draft lie: after each head, so many bytes.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, after) = rest.split_first_chunk::<HEAD>()?;
        let (record, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        rest = after;
        Some(record)
    })
}
