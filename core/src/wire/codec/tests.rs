use std::{collections::BTreeMap, fmt::Debug};

use serde::Deserialize;
use smallvec::SmallVec;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Hello,
    Echo { round: u64, from: Inner },
    Ready(Vec<u64>),
    Pair(u8, i32),
    Nested(Inner),
    Maybe(Option<Inner>),
    Raw(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Inner {
    Plain,
    Mark(Marker),
    Wide(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Marker;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    name: String,
    key: (u16, bool),
    #[serde(with = "serde_bytes")]
    hash: [u8; 3],
    map: BTreeMap<u32, Inner>,
    results: SmallVec<[Result<u8, String>; 2]>,
    real: (f32, f64, char),
    nothing: (),
}

fn messages() -> Vec<Message> {
    vec![
        Message::Hello,
        Message::Echo { round: 7, from: Inner::Plain },
        Message::Echo { round: u64::MAX, from: Inner::Wide(1 << 40) },
        Message::Ready(vec![1, 128, 70_000]),
        Message::Pair(255, -70_000),
        Message::Nested(Inner::Mark(Marker)),
        Message::Maybe(None),
        Message::Maybe(Some(Inner::Plain)),
        Message::Maybe(Some(Inner::Wide(3))),
        Message::Raw(Bytes::from_static(b"raw")),
    ]
}

#[test]
fn golden_bytes_stay() {
    let golden: [&[u8]; 10] = [
        &[0x00],
        &[0x81, 0x01, 0x92, 0x07, 0x00],
        &[
            0x81, 0x01, 0x92, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x02,
            0xcf, 0, 0, 1, 0, 0, 0, 0, 0,
        ],
        &[0x81, 0x02, 0x93, 0x01, 0xcc, 0x80, 0xce, 0x00, 0x01, 0x11, 0x70],
        &[0x81, 0x03, 0x92, 0xcc, 0xff, 0xd2, 0xff, 0xfe, 0xee, 0x90],
        &[0x81, 0x04, 0x81, 0x01, 0x90],
        &[0x81, 0x05, 0xc0],
        &[0x81, 0x05, 0x00],
        &[0x81, 0x05, 0x81, 0x02, 0x03],
        &[0x81, 0x06, 0xc4, 0x03, b'r', b'a', b'w'],
    ];
    for (message, golden) in messages().iter().zip(golden) {
        assert_eq!(encode(message), golden, "{message:?}");
    }
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    assert_eq!(decode::<T>(&encode(value)).as_ref(), Ok(value));
}

#[test]
fn what_is_encoded_decodes() {
    messages().iter().for_each(round_trip);
    round_trip(&messages());
    round_trip(&Record {
        name: "a name of more than thirty-one bytes, so it is str8".into(),
        key: (40_000, true),
        hash: [1, 2, 255],
        map: [(1, Inner::Plain), (2, Inner::Wide(2))].into(),
        results: [Ok(1), Err("no".to_string()), Ok(200)].into_iter().collect(),
        real: (1.5, -2.25, 'ß'),
        nothing: (),
    });
    round_trip(&(i64::MIN, i8::MIN, -1_i16, i64::MAX, u32::MAX));
}

/// A generator without a crate: what matters is that many shapes and sizes occur.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn number(&mut self) -> u64 {
        let bits = self.roll(64);
        (self.roll(1 << 31) << 32 | self.roll(1 << 31)) >> bits
    }

    fn inner(&mut self) -> Inner {
        match self.roll(3) {
            0 => Inner::Plain,
            1 => Inner::Mark(Marker),
            _ => Inner::Wide(self.number()),
        }
    }

    fn message(&mut self) -> Message {
        match self.roll(7) {
            0 => Message::Hello,
            1 => Message::Echo { round: self.number(), from: self.inner() },
            2 => Message::Ready((0..self.roll(40)).map(|_| self.number()).collect()),
            3 => Message::Pair(self.roll(256) as u8, self.number() as i32),
            4 => Message::Nested(self.inner()),
            5 => Message::Maybe((self.roll(2) == 0).then(|| self.inner())),
            _ => Message::Raw(vec![self.roll(256) as u8; self.roll(300) as usize].into()),
        }
    }
}

#[test]
fn any_message_comes_back_and_any_prefix_does_not() {
    let mut dice = Dice(1);
    for _ in 0..2000 {
        let message = dice.message();
        let bytes = encode(&message);
        assert_eq!(decode(&bytes), Ok(message.clone()));
        let cut = dice.roll(bytes.len() as u64) as usize;
        assert!(decode::<Message>(&bytes[..cut]).is_err(), "{message:?} cut at {cut}");
    }
}

#[test]
fn bent_bytes_never_panic() {
    let mut dice = Dice(2);
    let mut understood = 0;
    for _ in 0..20_000 {
        let mut bytes = encode(&dice.message()).to_vec();
        let at = dice.roll(bytes.len() as u64) as usize;
        bytes[at] = dice.roll(256) as u8;
        understood += u32::from(decode::<Message>(&bytes).is_ok());
    }
    assert!(understood > 0, "most changes inside numbers decode");
}

#[test]
fn bombs_and_garbage_are_refused() {
    let mut trailing = encode(&Message::Hello).to_vec();
    trailing.push(0xc0);
    assert_eq!(decode::<Message>(&trailing), Err(DecodeError::Trailing(1)));
    let array32 = [0xdd, 0xff, 0xff, 0xff, 0xff];
    let bin32 = [0xc6, 0xff, 0xff, 0xff, 0xff];
    let big_vector = [0x81, 0x02, 0xdd, 0xff, 0xff, 0xff, 0xff, 0x00];
    let nested = vec![0x91; 1_000_000];
    let unknown = [0x81, 0x09, 0x00];
    for bytes in [&array32[..], &bin32, &big_vector, &nested[..], &unknown, &[0x09], &[]] {
        assert!(matches!(decode::<Message>(bytes), Err(DecodeError::Malformed(_))));
        assert!(decode::<Vec<u64>>(bytes).is_err());
    }
    let long = vec![0; limits::FRAME_MAX + 1];
    assert!(matches!(decode::<Message>(&long), Err(DecodeError::TooLong { .. })));
}

#[test]
fn a_type_that_breaks_the_rules_is_our_own_wrong() {
    #[derive(Serialize)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<u8>,
    }
    let broken = std::panic::catch_unwind(|| encode(&Skips { skipped: None }));
    assert!(broken.is_err(), "a skipped field would shift its neighbours");
    assert_eq!(encode(&Skips { skipped: Some(1) }), &[0x91, 1][..]);
}
