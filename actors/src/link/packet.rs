//! What travels on a line: packets, each sealed under the key of its direction.

use bytes::Bytes;
use maftia_core::{crypto::Digest, effects::Lane};
use subtle::ConstantTimeEq;
use zeroize::ZeroizeOnDrop;

use super::parcel::{PARCEL_MAX, Parcel};

/// The longest message of a handshake, in bytes: names, keys and a signature, with room to spare.
pub(super) const HANDSHAKE_MAX: usize = 1 << 10;

/// The bytes before the content of a packet: length, kind, number, seal.
pub(super) const HEAD: usize = 4 + 1 + 8 + SEAL;

/// Bytes of a seal: 128 bits, as a forger has one try a connection.
const SEAL: usize = 16;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message of the handshake: before there is a key, so without a seal.
    Handshake,
    /// "I have taken your frames up to this number." The first two packets of a line.
    Resume(Lane),
    /// A frame.
    Frame(Lane),
    /// "Your frames up to this number are durable here."
    Acked(Lane),
    /// "My frames up to this number are lost."
    Gone(Lane),
    /// "I am still here."
    Alive,
    /// "I leave, and have written all that I had."
    Bye,
    /// "Somebody with your key made a newer line, which I use from now on."
    Taken,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Handshake,
        Self::Resume(Lane::Control),
        Self::Resume(Lane::Bulk),
        Self::Frame(Lane::Control),
        Self::Frame(Lane::Bulk),
        Self::Acked(Lane::Control),
        Self::Acked(Lane::Bulk),
        Self::Gone(Lane::Control),
        Self::Gone(Lane::Bulk),
        Self::Alive,
        Self::Bye,
        Self::Taken,
    ];

    /// The byte that stands for it.
    pub(super) fn code(self) -> u8 {
        let place = Self::ALL.iter().position(|kind| *kind == self);
        place.expect("all kinds are listed") as u8
    }

    /// The most bytes of content that it may have.
    const fn content_max(self) -> usize {
        match self {
            Self::Handshake => HANDSHAKE_MAX,
            Self::Frame(_) => PARCEL_MAX,
            Self::Resume(_)
            | Self::Acked(_)
            | Self::Gone(_)
            | Self::Alive
            | Self::Bye
            | Self::Taken => 0,
        }
    }
}

/// Why bytes are no packet, or not one of the peer's. It ends the line, never the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadPacket {
    #[error("there is no packet of kind {0}")]
    Kind(u8),
    #[error("{length} bytes of content are above the limit of {max}")]
    TooLong { length: usize, max: usize },
    #[error("the seal is not the peer's: bytes were changed, replayed or left out")]
    Seal,
}

/// The fixed part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) length: usize,
    pub(super) seal: [u8; SEAL],
}

impl Head {
    /// Reads a head, and refuses what is too long before anybody makes room for it.
    pub(super) fn read(bytes: &[u8; HEAD]) -> Result<Self, BadPacket> {
        let mut rest = &bytes[..];
        let length = u32::from_le_bytes(chunk(&mut rest)) as usize;
        let [code] = chunk(&mut rest);
        let kind = *Kind::ALL.get(usize::from(code)).ok_or(BadPacket::Kind(code))?;
        let max = kind.content_max();
        if length > max {
            return Err(BadPacket::TooLong { length, max });
        }
        Ok(Self {
            kind,
            number: u64::from_le_bytes(chunk(&mut rest)),
            length,
            seal: chunk(&mut rest),
        })
    }

    /// The bytes of the head.
    pub(super) fn write(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&(self.length as u32).to_le_bytes());
        bytes[4] = self.kind.code();
        bytes[5..13].copy_from_slice(&self.number.to_le_bytes());
        bytes[13..].copy_from_slice(&self.seal);
        bytes
    }
}

/// The next bytes of a head, whose length is fixed.
fn chunk<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (chunk, after) = rest.split_first_chunk().expect("a head has a fixed length");
    *rest = after;
    *chunk
}

/// One packet: a head, and its content in up to two shared slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) head: Head,
    pub(super) address: Bytes,
    pub(super) body: Bytes,
}

impl Packet {
    /// A message of the handshake.
    pub(super) fn handshake(body: Bytes) -> Self {
        let length = body.len();
        let head = Head { kind: Kind::Handshake, number: 0, length, seal: [0; SEAL] };
        Self { head, address: Bytes::new(), body }
    }

    /// Its length on a wire, in bytes.
    pub(super) fn len(&self) -> usize {
        HEAD + self.head.length
    }
}

/// One end of one direction of a line. The seal covers how many packets went before, so that none
/// can be repeated, left out or exchanged; each direction of each line has its own key, so that none
/// is worth anything on another.
#[derive(ZeroizeOnDrop)]
pub(super) struct Seals {
    key: [u8; 32],
    count: u64,
}

impl Seals {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key, count: 0 }
    }

    /// A sealed packet that is no frame.
    pub(super) fn note(&mut self, kind: Kind, number: u64) -> Packet {
        let seal = self.next(kind, number, 0, &[0; 32]);
        let head = Head { kind, number, length: 0, seal };
        Packet { head, address: Bytes::new(), body: Bytes::new() }
    }

    /// A sealed frame. The content is not touched: its digest stands for it.
    pub(super) fn frame(&mut self, lane: Lane, number: u64, parcel: &Parcel) -> Packet {
        let (kind, length) = (Kind::Frame(lane), parcel.len());
        let seal = self.next(kind, number, length, parcel.digest.as_bytes());
        let head = Head { kind, number, length, seal };
        Packet { head, address: parcel.address.clone(), body: parcel.body.clone() }
    }

    /// Checks the next packet. A frame has the digest of its content.
    pub(super) fn check(&mut self, head: &Head, digest: Option<&Digest>) -> Result<(), BadPacket> {
        let digest = digest.map_or(&[0; 32], Digest::as_bytes);
        let seal = self.next(head.kind, head.number, head.length, digest);
        if bool::from(seal.ct_eq(&head.seal)) { Ok(()) } else { Err(BadPacket::Seal) }
    }

    /// The same seals in the same place, to try several packets against.
    #[cfg(test)]
    pub(super) fn again(&self) -> Self {
        Self { key: self.key, count: self.count }
    }

    fn next(&mut self, kind: Kind, number: u64, length: usize, digest: &[u8; 32]) -> [u8; SEAL] {
        let mut sealed = [0; 53];
        sealed[..8].copy_from_slice(&self.count.to_le_bytes());
        sealed[8] = kind.code();
        sealed[9..17].copy_from_slice(&number.to_le_bytes());
        sealed[17..21].copy_from_slice(&(length as u32).to_le_bytes());
        sealed[21..].copy_from_slice(digest);
        self.count += 1;
        let hash = blake3::keyed_hash(&self.key, &sealed);
        let mut seal = [0; SEAL];
        seal.copy_from_slice(&hash.as_bytes()[..SEAL]);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_were_written() {
        for kind in Kind::ALL {
            let head = Head { kind, number: u64::MAX - 3, length: 0, seal: [9; SEAL] };
            assert_eq!(Head::read(&head.write()), Ok(head));
        }
    }

    #[test]
    fn lengths_are_refused_before_there_is_room() {
        let read = |length: u32, code: u8| {
            let mut bytes = [0; HEAD];
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            bytes[4] = code;
            Head::read(&bytes)
        };
        for kind in Kind::ALL {
            let max = kind.content_max();
            for length in [0, 1, max, max + 1, u32::MAX as usize] {
                let refused = Err(BadPacket::TooLong { length, max });
                let result = read(length as u32, kind.code()).map(|head| head.length);
                assert_eq!(result, if length > max { refused } else { Ok(length) });
            }
        }
        assert_eq!(read(0, 12), Err(BadPacket::Kind(12)));
    }
}
