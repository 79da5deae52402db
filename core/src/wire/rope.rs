//! Encoded values whose large byte strings are shared, not copied.

use bytes::Bytes;
use serde::Serialize;

use super::{bulk::BULK_MIN, compact::Compact};

/// Bytes in pieces: what is small lies together, what is large is shared with whoever else has it.
/// Logs and snapshots are ropes, since fresh memory for every payload costs more than all else.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    small: Vec<u8>,
    /// The large pieces, and how many small bytes stand before each.
    large: Vec<(usize, Bytes)>,
    /// How many bytes the large pieces have.
    heavy: usize,
}

/// A stretch of a rope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of the rope's own.
    Small(&'a [u8]),
    /// Bytes that others share.
    Large(&'a Bytes),
}

impl Part<'_> {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}

impl Rope {
    /// An empty rope that writes small bytes into this memory.
    pub fn onto(mut memory: Vec<u8>) -> Self {
        memory.clear();
        Self { small: memory, ..Self::default() }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.small.len() + self.heavy
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the encoding of a value. Its [`bulk`](super::bulk) is shared.
    ///
    /// # Panics
    /// When the value cannot be encoded, which only a type that breaks the rules of [`crate::wire`] can.
    pub fn add<T: Serialize + ?Sized>(&mut self, value: &T) {
        let known = self.large.len();
        let mut serializer =
            Compact::sharing(std::mem::take(&mut self.small), std::mem::take(&mut self.large));
        value.serialize(&mut serializer).expect("plain data can be encoded");
        (self.small, self.large) = serializer.into_parts();
        self.heavy += self.large[known..].iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    }

    /// Appends a copy of these bytes.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    /// Appends these bytes, shared if they are many.
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < BULK_MIN {
            return self.copy(bytes);
        }
        self.large.push((self.small.len(), bytes.clone()));
        self.heavy += bytes.len();
    }

    /// Leaves room for a number that is known later. Give the place to [`fill`](Self::fill).
    pub fn gap<const N: usize>(&mut self) -> usize {
        self.small.extend_from_slice(&[0; N]);
        self.small.len() - N
    }

    /// Writes into a gap.
    pub fn fill<const N: usize>(&mut self, gap: usize, bytes: [u8; N]) {
        self.small[gap..][..N].copy_from_slice(&bytes);
    }

    /// How many bytes it does not share.
    pub fn own(&self) -> usize {
        self.small.len()
    }

    /// Moves all of another rope behind this one.
    pub fn append(&mut self, other: &mut Self) {
        let before = self.small.len();
        self.small.append(&mut other.small);
        self.large.extend(other.large.drain(..).map(|(at, bytes)| (before + at, bytes)));
        self.heavy += std::mem::take(&mut other.heavy);
    }

    /// Its stretches, in order.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let ends = self.large.iter().map(|(at, bytes)| (*at, Some(bytes)));
        let mut from = 0;
        ends.chain([(self.small.len(), None)]).flat_map(move |(at, large)| {
            let small = &self.small[std::mem::replace(&mut from, at)..at];
            [Some(Part::Small(small)), large.map(Part::Large)].into_iter().flatten()
        })
    }

    /// All of it in one piece: a copy, unless it is one already.
    pub fn flat(&self) -> Bytes {
        match &self.large[..] {
            [(_, only)] if self.small.is_empty() => only.clone(),
            _ => {
                let mut flat = Vec::with_capacity(self.len());
                self.parts().for_each(|part| flat.extend_from_slice(part.bytes()));
                flat.into()
            }
        }
    }

    /// The memory of its small bytes, to write the next rope into.
    pub fn into_memory(self) -> Vec<u8> {
        self.small
    }
}

/// Two ropes are equal when their bytes are, however they lie.
impl PartialEq for Rope {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.flat() == other.flat()
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        let mut rope = Self::default();
        rope.share(&bytes);
        rope
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::wire::{bulk, decode_own, decode_shared, encode};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Letter {
        number: u32,
        #[serde(with = "bulk")]
        body: Bytes,
        name: String,
    }

    fn letter(number: u32, size: usize) -> Letter {
        Letter { number, body: vec![number as u8; size].into(), name: "name".into() }
    }

    fn is_within(part: &[u8], whole: &[u8]) -> bool {
        whole.as_ptr_range().contains(&part.as_ptr())
    }

    #[test]
    fn a_rope_has_the_bytes_of_the_plain_encoding_and_shares_the_large_ones() {
        for size in [0, 1, BULK_MIN - 1, BULK_MIN, 3 * BULK_MIN] {
            let letters: Vec<_> = (0..3).map(|number| letter(number, size)).collect();
            let (mut rope, mut plain) = (Rope::default(), Vec::new());
            let gap = rope.gap::<4>();
            plain.extend_from_slice(&[7; 4]);
            for letter in &letters {
                rope.add(letter);
                plain.extend_from_slice(&encode(letter));
            }
            rope.fill(gap, [7; 4]);
            assert_eq!((rope.len(), &rope.flat()[..]), (plain.len(), &plain[..]));
            let shared = rope.parts().filter(|part| matches!(part, Part::Large(_))).count();
            assert_eq!(shared, if size < BULK_MIN { 0 } else { 3 });
            for (part, letter) in rope.parts().filter(|p| matches!(p, Part::Large(_))).zip(&letters)
            {
                assert!(is_within(part.bytes(), &letter.body), "it is not copied");
            }
        }
    }

    #[test]
    fn what_is_decoded_shares_the_bytes_that_it_came_in() {
        for size in [1, BULK_MIN - 1, BULK_MIN, 3 * BULK_MIN] {
            let (sent, bytes) = (letter(5, size), encode(&letter(5, size)));
            let read: Letter = decode_shared(&bytes).unwrap();
            assert_eq!(read, sent);
            assert_eq!(is_within(&read.body, &bytes), size >= BULK_MIN);
            let copied: Letter = decode_own(&bytes).unwrap();
            assert!(copied == sent && !is_within(&copied.body, &bytes));
        }
    }

    #[test]
    fn a_small_part_does_not_hold_a_large_frame() {
        let letters = vec![letter(1, BULK_MIN), letter(2, 8 * BULK_MIN)];
        let bytes = encode(&letters);
        let read: Vec<Letter> = decode_shared(&bytes).unwrap();
        assert_eq!(read, letters);
        assert!(!is_within(&read[0].body, &bytes) && is_within(&read[1].body, &bytes));
    }
}
