//! Bends valid bytes a little, as an attacker would who knows the format.

/// Bytes that begin something in MessagePack, most of them something long, and borders of numbers.
const STRIKING: [u8; 14] =
    [0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xc0, 0xc6, 0xcf, 0xdb, 0xdd, 0xdf, 0xff];

/// Dice that fall the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides as u64) as usize
    }
}

/// Bytes that are near to these.
pub(crate) fn mutated(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.roll(3) {
        edit(&mut bytes, dice);
    }
    bytes
}

fn edit(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let end = (at + 1 + dice.roll(8)).min(bytes.len());
    match dice.roll(8) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, STRIKING[dice.roll(STRIKING.len())]),
        2 => drop(bytes.drain(at.min(end)..end)),
        3 => {
            let again = bytes[at.min(end)..end].to_vec();
            bytes.splice(at..at, again);
        }
        4 => {
            // A length that nobody has room for, for whatever begins here.
            let head = [0xc6, 0xdb, 0xdd, 0xdf][dice.roll(4)];
            bytes.splice(at..end.max(at), [head, 0xff, 0xff, 0xff, 0xff]);
        }
        5 if at < bytes.len() => bytes[at] = STRIKING[dice.roll(STRIKING.len())],
        6 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
        _ if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
        _ => bytes.push(dice.roll(256) as u8),
    }
}
