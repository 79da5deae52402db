//! Keeps every rule, but flips a byte in a share, signature or digest of what it says.

use std::ops::Range;

use super::{Behaviour, Corrupted, Outgoing};

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct WrongShare;

/// Byte strings shorter than this are neither shares nor signatures.
const SHORTEST: usize = 16;

impl Behaviour for WrongShare {
    fn name(&self) -> &'static str {
        "wrong-share"
    }

    fn send(&mut self, mut frame: Outgoing, cx: &mut Corrupted<'_>) {
        let strings = byte_strings(&frame.bytes);
        if !strings.is_empty() && !cx.rng.once_in(4) {
            let string = cx.rng.choose(&strings).clone();
            let mut bytes = frame.bytes.to_vec();
            bytes[string.start + cx.rng.below(string.len())] ^= 1 << cx.rng.below(8);
            frame.bytes = bytes.into();
        }
        cx.send(frame);
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(*self)
    }
}

/// Where the long byte strings of a MessagePack value lie.
fn byte_strings(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(marker) = bytes.get(at) {
        let number = |width: usize| {
            let digits = bytes.get(at + 1..at + 1 + width).unwrap_or_default();
            digits.iter().fold(0, |number, digit| number << 8 | usize::from(*digit))
        };
        let (head, body) = match marker {
            0xa0..=0xbf => (1, usize::from(marker & 0x1f)),
            0xc4 | 0xd9 => (2, number(1)),
            0xc5 | 0xda => (3, number(2)),
            0xc6 | 0xdb => (5, number(4)),
            0xcc | 0xd0 => (2, 0),
            0xcd | 0xd1 | 0xdc | 0xde => (3, 0),
            0xce | 0xd2 | 0xca | 0xdd | 0xdf => (5, 0),
            0xcf | 0xd3 | 0xcb => (9, 0),
            _ => (1, 0),
        };
        let string = at + head..at + head + body;
        at = string.end;
        if matches!(marker, 0xc4..=0xc6) && body >= SHORTEST && at <= bytes.len() {
            found.push(string);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::Share, wire};

    #[test]
    fn shares_are_found_wherever_they_are() {
        let share = |byte| Share(vec![byte; 48].into());
        let message = (7_u64, "a name of some length", vec![(1_u16, share(0xc4)), (300, share(1))]);
        let bytes = wire::encode(&message);
        let strings = byte_strings(&bytes);
        assert_eq!(strings.len(), 2);
        assert!(bytes[strings[0].clone()].iter().all(|byte| *byte == 0xc4));
        assert!(bytes[strings[1].clone()].iter().all(|byte| *byte == 1));
    }
}
