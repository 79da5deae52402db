//! What the bench and its parties say to each other, over a socket each, and how a payload looks.

use std::io::{self, Read, Write};

use maftia_core::{crypto::Ciphertext, stream::batch::Batch, wire, wire::limits};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What stands at the beginning of each payload.
pub(crate) const STAMP: usize = 24;

/// Who made a payload, and when it should have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The party that it was given to, or that it claims.
    pub(crate) generator: u64,
    /// Its number there, from 0.
    pub(crate) number: u64,
    /// The moment of its schedule, on [`now`](super::clock::now).
    pub(crate) intended: u64,
}

impl Stamp {
    /// The first bytes of a payload.
    pub(crate) fn to_bytes(self) -> [u8; STAMP] {
        let mut bytes = [0; STAMP];
        let fields = [self.generator, self.number, self.intended];
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Reads the beginning of a payload, which may be somebody's lie.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let field = |place: usize| {
            let bytes = payload.get(8 * place..8 * place + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        Some(Self { generator: field(0)?, number: field(1)?, intended: field(2)? })
    }
}

/// What a party is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The load begins. What should be sent in this span is measured, and a fault strikes at its
    /// beginning.
    Begin {
        /// The first nanosecond.
        from: u64,
        /// The nanosecond after the last.
        until: u64,
    },
    /// Payloads to be ordered.
    Submit(Batch),
    /// Payloads to be ordered, encrypted to the group.
    Forward(Ciphertext),
    /// No more comes, and so much was sent by each generator: tell the [`Verdict`], and stop.
    Finish(Vec<u64>),
}

/// What a party tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Tale {
    /// It runs.
    Ready,
    /// So many of the payloads that it was given are not under way any more.
    Settled(u64),
    /// How it does.
    Sample(Sample),
    /// What its subscriber saw.
    Verdict(Box<Verdict>),
    /// It cannot go on.
    Failed(String),
}

/// How a party does at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// When, on [`now`](super::clock::now).
    pub(crate) at: u64,
    /// Payloads of good generators delivered so far.
    pub(crate) delivered: u64,
    /// CPU nanoseconds of its process so far.
    pub(crate) cpu: u64,
    /// The longest latency since the last sample, in microseconds.
    pub(crate) slowest_us: u64,
}

/// What the subscriber at a party saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Latencies of what was measured: microseconds, and how many payloads took so long.
    pub(crate) latencies: Vec<(u64, u64)>,
    /// Payloads that were sent and never came.
    pub(crate) gaps: u64,
    /// Payloads that came again.
    pub(crate) duplicates: u64,
    /// Payloads that came before an earlier one of the same generator.
    pub(crate) disorders: u64,
    /// Payloads that no good generator sent.
    pub(crate) foreign: u64,
    /// Payloads that the party refused to take.
    pub(crate) refused: u64,
    /// Whether the party said that it cannot follow the others.
    pub(crate) behind: bool,
    /// Payloads of good generators delivered.
    pub(crate) delivered: u64,
    /// A hash of the order of these.
    pub(crate) order: u64,
    /// The most bytes of memory that its process held.
    pub(crate) peak_bytes: u64,
}

/// The largest word: a batch and room around it.
const WORD_MAX: usize = limits::FRAME_MAX;

fn framed<T: Serialize>(word: &T) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    wire::encode_onto(word, &mut bytes);
    let length = u32::try_from(bytes.len() - 4).expect("words are far below 4 GiB");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn length(head: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(head) as usize;
    if length > WORD_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a word is too long"));
    }
    Ok(length)
}

fn parse<T: DeserializeOwned>(bytes: Vec<u8>) -> io::Result<T> {
    wire::decode_shared(&bytes.into())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Says a word, at once.
pub(crate) fn say<T: Serialize>(to: &mut impl Write, word: &T) -> io::Result<()> {
    to.write_all(&framed(word))
}

/// Waits for a word. An error of the kind `UnexpectedEof` is the end.
pub(crate) fn hear<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes)?;
    parse(bytes)
}

/// The same on the side of a party.
pub(crate) async fn tell<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    word: &T,
) -> io::Result<()> {
    to.write_all(&framed(word)).await
}

/// The same on the side of a party.
pub(crate) async fn listen<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    let mut head = [0; 4];
    from.read_exact(&mut head).await?;
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes).await?;
    parse(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_stamps_come_out_as_they_went_in() {
        let mut pipe = Vec::new();
        say(&mut pipe, &Tale::Settled(7)).expect("a vector takes it");
        assert!(matches!(hear(&mut pipe.as_slice()), Ok(Tale::Settled(7))));
        let cut = hear::<Tale>(&mut &pipe[..pipe.len() - 1]).expect_err("its end is missing");
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        let stamp = Stamp { generator: 3, number: 1 << 40, intended: 5 };
        assert_eq!(Stamp::read(&stamp.to_bytes()), Some(stamp));
        assert_eq!(Stamp::read(&stamp.to_bytes()[1..]), None);
    }

    #[test]
    fn a_word_that_is_too_long_is_not_read() {
        let long = u32::MAX.to_le_bytes();
        let error = hear::<Tale>(&mut long.as_slice()).expect_err("nobody has so much memory");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
