//! Many payloads in one slice.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::Digest,
    wire::{bulk, limits},
};

/// Payloads end to end in one shared slice; the stream never decodes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Where each payload ends.
    #[serde(with = "borders")]
    ends: Vec<u32>,
    #[serde(with = "bulk")]
    bytes: Bytes,
}

/// Why a batch cannot be one of a correct party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// More bytes or payloads than [`limits`] allow.
    #[error("{payloads} payloads in {bytes} bytes are more than a batch may hold")]
    TooLarge {
        /// How many payloads.
        payloads: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// The borders between payloads make no sense, or a payload is larger than the limit.
    #[error("the borders of its payloads do not fit its bytes or a limit")]
    Borders,
}

impl Batch {
    /// A batch of these payloads.
    pub fn of<T: AsRef<[u8]>>(payloads: impl IntoIterator<Item = T>) -> Self {
        let (mut ends, mut bytes) = (Vec::new(), Vec::new());
        for payload in payloads {
            bytes.extend_from_slice(payload.as_ref());
            ends.push(u32::try_from(bytes.len()).expect("a batch is far below 4 GiB"));
        }
        Self { ends, bytes: bytes.into() }
    }

    /// All payloads of these batches, in order. A single batch is shared, not copied.
    pub fn concat(batches: &[Self]) -> Self {
        if let [only] = batches {
            return only.clone();
        }
        let mut bytes = Vec::with_capacity(batches.iter().map(Self::size).sum());
        let mut ends = Vec::with_capacity(batches.iter().map(Self::len).sum());
        for batch in batches {
            let start = u32::try_from(bytes.len()).expect("a batch is far below 4 GiB");
            ends.extend(batch.ends.iter().map(|end| start + end));
            bytes.extend_from_slice(&batch.bytes);
        }
        Self { ends, bytes: bytes.into() }
    }

    /// The first payloads, of about this weight and at least one, and the others. `None` if there are no
    /// others. Both share the bytes.
    pub fn split(&self, weight: usize) -> Option<(Self, Self)> {
        let room = weight.saturating_sub(128);
        let fits = |place: usize| self.ends[place] as usize + 4 * (place + 1) <= room;
        let count = (0..self.len()).take_while(|place| fits(*place)).count().max(1);
        let end = self.ends.get(count - 1).copied().filter(|_| count < self.len())?;
        let rest = self.ends[count..].iter().map(|other| other - end).collect();
        let first =
            Self { ends: self.ends[..count].into(), bytes: self.bytes.slice(..end as usize) };
        Some((first, Self { ends: rest, bytes: self.bytes.slice(end as usize..) }))
    }

    /// How many payloads.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes all payloads have together.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// What it takes to keep it, in bytes: payloads, borders, and the places where it is noted.
    pub fn weight(&self) -> usize {
        self.bytes.len() + 4 * self.ends.len() + 128
    }

    /// The payload at this place.
    pub fn get(&self, place: usize) -> Option<Bytes> {
        let end = *self.ends.get(place)? as usize;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        Some(self.bytes.slice(start..end))
    }

    /// The payloads, in order.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> + '_ {
        (0..self.len()).map(|place| self.get(place).expect("the place exists"))
    }

    /// The name of these bytes and borders.
    pub fn digest(&self) -> Digest {
        Digest::of_long("batch", &self.bytes, &borders::flat(&self.ends))
    }

    /// Checks what a peer sent: sizes, and borders that rise and end where the bytes end.
    pub fn check(&self) -> Result<(), BadBatch> {
        let (payloads, bytes) = (self.ends.len(), self.bytes.len());
        if bytes > limits::BATCH_BYTES_MAX || payloads > limits::BATCH_PAYLOADS_MAX {
            return Err(BadBatch::TooLarge { payloads, bytes });
        }
        let mut start = 0;
        let rising = self.ends.iter().all(|&end| {
            let fits = end >= start && (end - start) as usize <= limits::PAYLOAD_MAX;
            start = end;
            fits
        });
        let fitting = self.ends.last().map_or(bytes == 0, |last| *last as usize == bytes);
        if rising && fitting { Ok(()) } else { Err(BadBatch::Borders) }
    }
}

/// Borders as four bytes each, little-endian: thousands of them are written and read in one go.
mod borders {
    use std::fmt;

    use serde::{
        Deserializer, Serializer,
        de::{Error, Visitor},
    };

    pub(super) fn flat(ends: &[u32]) -> Vec<u8> {
        ends.iter().map(|end| end.to_le_bytes()).collect::<Vec<_>>().into_flattened()
    }

    pub(super) fn serialize<S: Serializer>(ends: &[u32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&flat(ends))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
        from.deserialize_bytes(Flat)
    }

    struct Flat;

    impl Visitor<'_> for Flat {
        type Value = Vec<u32>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("borders of four bytes each")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u32>, E> {
            match bytes.as_chunks() {
                (ends, []) => Ok(ends.iter().map(|end| u32::from_le_bytes(*end)).collect()),
                _ => Err(E::invalid_length(bytes.len(), &self)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn payloads_come_out_as_they_went_in() {
        let batch = Batch::of(["one", "", "three"]);
        assert_eq!(batch.iter().collect::<Vec<_>>(), ["one", "", "three"]);
        assert_eq!((batch.len(), batch.size(), batch.get(3)), (3, 8, None));
        assert_eq!(batch.check(), Ok(()));
        assert_ne!(batch.digest(), Batch::of(["on", "e", "three"]).digest());
    }

    #[test]
    fn joined_batches_keep_their_payloads() {
        let (one, two) = (Batch::of(["a", "bc"]), Batch::of(["", "d"]));
        let joined = Batch::concat(&[one.clone(), two]);
        assert_eq!(joined, Batch::of(["a", "bc", "", "d"]));
        assert_eq!(Batch::concat(std::slice::from_ref(&one)), one);
        assert_eq!(Batch::concat(&[]), Batch::default());
    }

    #[test]
    fn parts_of_a_batch_hold_all_of_it() {
        let batch = Batch::of(["one", "", "three", "four"]);
        for (weight, first) in [(0, 1), (135, 1), (139, 2), (147, 2), (148, 3), (156, 4)] {
            let parts = batch.split(weight);
            assert_eq!(parts.as_ref().map_or(4, |(part, _)| part.len()), first, "{weight}");
            if let Some((one, other)) = parts {
                assert_eq!((one.check(), other.check()), (Ok(()), Ok(())));
                assert_eq!(Batch::concat(&[one, other]), batch);
            }
        }
        assert_eq!(Batch::default().split(0), None);
    }

    #[test]
    fn forged_borders_are_refused() {
        for ends in [vec![3, 2, 8], vec![9], vec![7], vec![]] {
            let forged = Batch { ends, bytes: Bytes::from_static(b"onethree") };
            assert_eq!(forged.check(), Err(BadBatch::Borders));
        }
    }

    #[test]
    fn borders_come_in_fours() {
        #[derive(Serialize)]
        struct Forged {
            #[serde(with = "serde_bytes")]
            ends: Vec<u8>,
            #[serde(with = "bulk")]
            bytes: Bytes,
        }
        let batch = Batch::of(["one", "", "three"]);
        let read = |ends| {
            let forged = Forged { ends, bytes: batch.bytes.clone() };
            wire::decode::<Batch>(&wire::encode(&forged))
        };
        let flat = borders::flat(&batch.ends);
        for cut in 1..4 {
            assert!(read(flat[cut..].to_vec()).is_err(), "{cut} bytes are cut off");
        }
        assert_eq!(read(flat), Ok(batch));
    }
}
