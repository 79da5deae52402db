//! One sector: the bytes that a disk writes whole or not at all, with a sum that tells which.

use std::ops::Range;

/// How many bytes a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;

/// What stands before the bytes of a sector: the sum, how many bytes there are, and the mark.
const HEAD: usize = 4 + 2 + 8;

/// The most bytes of a log that a sector holds.
pub(super) const BODY: usize = SECTOR - HEAD;

/// What a sector was found to be.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// It was never written.
    Blank,
    /// It is as it was written.
    Whole {
        /// How many bytes it holds.
        fill: usize,
        /// How many bytes of the log the disk had when this was written.
        mark: u64,
    },
    /// It was written and is another now.
    Bent,
}

/// Where in a sector its bytes stand.
pub(super) fn body(sector: &mut [u8]) -> &mut [u8] {
    &mut sector[HEAD..]
}

/// The first bytes of the body of a sector that begins there.
pub(super) fn span(at: usize, fill: usize) -> Range<usize> {
    at + HEAD..at + HEAD + fill
}

/// What the sums of a segment begin with, so that no sector is right in another one.
pub(super) fn seed(segment: u64) -> u32 {
    crc32c::crc32c(&segment.to_le_bytes())
}

/// Puts the head before the first `fill` bytes of a sector's body; after them stand zeros.
pub(super) fn seal(sector: &mut [u8], seed: u32, place: u64, fill: usize, mark: u64) {
    sector[4..6].copy_from_slice(&(fill as u16).to_le_bytes());
    sector[6..HEAD].copy_from_slice(&mark.to_le_bytes());
    let sum = sum(sector, seed, place);
    sector[..4].copy_from_slice(&sum.to_le_bytes());
}

/// What stands at this place of a segment.
pub(super) fn open(sector: &[u8], seed: u32, place: u64) -> Found {
    if sector.iter().all(|byte| *byte == 0) {
        return Found::Blank;
    }
    let fill = u16::from_le_bytes(sector[4..6].try_into().expect("two bytes")).into();
    let mark = u64::from_le_bytes(sector[6..HEAD].try_into().expect("eight bytes"));
    let right = sector[..4] == sum(sector, seed, place).to_le_bytes();
    if right && (1..=BODY).contains(&fill) { Found::Whole { fill, mark } } else { Found::Bent }
}

/// The same bytes have another sum at each place.
fn sum(sector: &[u8], seed: u32, place: u64) -> u32 {
    crc32c::crc32c_append(seed ^ place as u32, &sector[4..])
}
