//! What a transaction is called, how it can end, and why.

use std::{fmt, str::FromStr, sync::Arc};

use maftia_core::id::{ClientId, GroupId};
use serde::{Deserialize, Serialize};

use crate::limits;

/// The letters and digits of printed names: Crockford's, which has no `I`, `L`, `O`, `U`.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A transaction: the group that manages it, and its number there.
///
/// It is a name, not a right. It prints as its number in base 32 and a check letter, `7Q`, followed
/// by the place of the group unless that is the first one of the configuration: `7Q.2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TxId {
    manager: GroupId,
    number: u64,
}

/// The text is not the name of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTxId {
    /// It has characters or a shape that no name has.
    #[error("`{0}` is no name of a transaction; names look like `7Q`")]
    Shape(String),
    /// The check letter does not fit.
    #[error("`{0}` is mistyped: its last letter does not fit the ones before it")]
    Mistyped(String),
}

impl TxId {
    /// The transaction with this number at the group `manager`.
    pub const fn new(manager: GroupId, number: u64) -> Self {
        Self { manager, number }
    }

    /// The group that manages it.
    pub const fn manager(self) -> GroupId {
        self.manager
    }

    /// Its number there: transactions are numbered in the order in which they begin.
    pub const fn number(self) -> u64 {
        self.number
    }

    fn check_letter(self) -> char {
        let mixed = (self.number ^ (self.manager.index() as u64) << 48)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        char::from(ALPHABET[(mixed >> 59) as usize])
    }
}

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = (0..13).rev().map(|place| (self.number >> (5 * place)) as usize & 31);
        let mut shown = false;
        for (place, digit) in digits.enumerate() {
            shown |= digit != 0 || place == 12;
            if shown {
                write!(f, "{}", char::from(ALPHABET[digit]))?;
            }
        }
        write!(f, "{}", self.check_letter())?;
        match self.manager.index() {
            0 => Ok(()),
            place => write!(f, ".{place}"),
        }
    }
}

impl fmt::Debug for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TxId {
    type Err = BadTxId;

    fn from_str(text: &str) -> Result<Self, BadTxId> {
        let shape = || BadTxId::Shape(text.chars().take(40).collect());
        let (name, place) = match text.split_once('.') {
            Some((name, place)) => (name, place.parse::<u16>().map_err(|_| shape())?),
            None => (text, 0),
        };
        let digits: Vec<u64> = name.chars().map(digit).collect::<Option<_>>().ok_or_else(shape)?;
        let (check, number) = digits.split_last().ok_or_else(shape)?;
        if number.is_empty() || number.len() > 13 || (number.len() == 13 && number[0] > 15) {
            return Err(shape());
        }
        let number = number.iter().fold(0, |number, digit| number << 5 | digit);
        let tx = Self::new(GroupId::new(place), number);
        if digit(tx.check_letter()) == Some(*check) {
            Ok(tx)
        } else {
            Err(BadTxId::Mistyped(text.to_owned()))
        }
    }
}

/// The value of a letter, in either case and with the usual confusions undone.
fn digit(letter: char) -> Option<u64> {
    let letter = match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|known| char::from(*known) == letter).map(|place| place as u64)
}

/// How old a transaction is: smaller is older. Total over all transactions of all managers.
///
/// A transaction that takes up the work of a wounded one keeps its age, so it cannot starve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Age {
    /// The place in its manager's order of beginnings.
    pub begun: u64,
    /// Breaks ties, between managers and between a wounded transaction and the one after it.
    pub tx: TxId,
}

/// What a resource is divided into: one lock each. At most [`limits::KEY_MAX`] bytes of visible
/// characters without `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// The text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key: a key has 1 to {max} bytes of visible characters without `/`", max = limits::KEY_MAX)]
pub struct BadKey(String);

impl Key {
    /// The key with this name.
    pub fn new(name: &str) -> Result<Self, BadKey> {
        let visible = name.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '/');
        if visible && (1..=limits::KEY_MAX).contains(&name.len()) {
            Ok(Self(name.into()))
        } else {
            let shown = name.chars().map(|c| if c.is_control() { '?' } else { c }).take(40);
            Err(BadKey(shown.collect()))
        }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = BadKey;

    fn try_from(name: String) -> Result<Self, BadKey> {
        Self::new(&name)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.as_ref().to_owned()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Where a transaction stands, as its manager sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Clients operate; none has agreed to commit.
    Active,
    /// Some clients have agreed to commit, not all.
    Voting,
    /// All clients have agreed; the resource managers are asked.
    Preparing,
    /// It has taken effect.
    Committed,
    /// It has not and will not.
    Aborted,
}

impl Phase {
    /// A word for tables and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Voting => "voting",
            Self::Preparing => "preparing",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It has taken effect in every group.
    Committed,
    /// It has taken effect in none.
    Aborted(AbortReason),
}

impl Outcome {
    /// A word for tables and JSON: `committed` or `aborted`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted(_) => "aborted",
        }
    }

    /// Why it was aborted, if it was.
    pub const fn reason(&self) -> Option<&AbortReason> {
        match self {
            Self::Committed => None,
            Self::Aborted(reason) => Some(reason),
        }
    }
}

/// One transaction waits for another, on a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Who waits.
    pub waiter: TxId,
    /// For whom.
    pub holder: TxId,
    /// Over what.
    pub key: Key,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} over {}", self.waiter, self.holder, self.key)
    }
}

/// A younger transaction gave way to an older one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wound {
    /// The older transaction.
    pub by: TxId,
    /// The key that both wanted.
    pub key: Key,
    /// The conflict, and what the victim waited for itself: at most [`limits::EDGES_MAX`].
    pub edges: Vec<Edge>,
}

/// Why a transaction did not take effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbortReason {
    /// A member wanted it so.
    Client {
        /// Who.
        client: ClientId,
        /// Its words; they may be none.
        text: String,
    },
    /// An older transaction needed a lock that it held.
    Wounded {
        /// Where.
        group: GroupId,
        /// By whom, and over what.
        wound: Wound,
    },
    /// It lived longer than its lease.
    Expired,
    /// A resource manager heard nothing of it for longer than its lease.
    Idle {
        /// Which.
        group: GroupId,
    },
    /// A resource manager refused to prepare.
    Refused {
        /// Which.
        group: GroupId,
        /// Why.
        text: String,
    },
    /// A resource manager did not vote in time.
    Unanswered {
        /// The first of those that did not.
        group: GroupId,
    },
    /// Its manager has no record of it, and what commits leaves one until all have acknowledged.
    Presumed,
}

impl AbortReason {
    /// A word for tables and JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Client { .. } => "client",
            Self::Wounded { .. } => "wounded",
            Self::Expired => "expired",
            Self::Idle { .. } => "idle",
            Self::Refused { .. } => "refused",
            Self::Unanswered { .. } => "unanswered",
            Self::Presumed => "presumed",
        }
    }

    /// Whether the same work, tried again, may well succeed.
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Wounded { .. } | Self::Idle { .. } | Self::Unanswered { .. })
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { client, text } if text.is_empty() => write!(f, "aborted by {client}"),
            Self::Client { client, text } => write!(f, "aborted by {client}: {text}"),
            Self::Wounded { group, wound } => {
                write!(f, "wounded at {group}: older {} needed {}", wound.by, wound.key)
            }
            Self::Expired => f.write_str("its lease ran out"),
            Self::Idle { group } => write!(f, "{group} heard nothing of it for too long"),
            Self::Refused { group, text } => write!(f, "{group} refused to prepare: {text}"),
            Self::Unanswered { group } => write!(f, "{group} did not vote in time"),
            Self::Presumed => f.write_str("its manager has no record of it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::wire::{decode, encode};

    use super::*;

    #[test]
    fn names_are_short_and_read_back() {
        for number in [0, 1, 7, 31, 32, 1 << 20, u64::MAX] {
            for place in [0, 1, 300] {
                let tx = TxId::new(GroupId::new(place), number);
                assert_eq!(tx.to_string().parse(), Ok(tx));
                assert_eq!(tx.to_string().to_lowercase().parse(), Ok(tx));
            }
        }
        assert_eq!(TxId::new(GroupId::new(0), 7).to_string().len(), 2);
    }

    #[test]
    fn mistyped_names_are_told_from_nonsense() {
        let tx = TxId::new(GroupId::new(0), 7);
        let other = TxId::new(GroupId::new(0), 8).to_string();
        let swapped: String = format!("7{}", &other[1..]);
        assert_ne!(swapped, tx.to_string());
        assert_eq!(swapped.parse::<TxId>(), Err(BadTxId::Mistyped(swapped.clone())));
        for text in ["", "7", "7-Q", "\u{1F600}", "7Q.x", "ZZZZZZZZZZZZZZ", "ZZZZZZZZZZZZZZZZZZ"] {
            assert!(matches!(text.parse::<TxId>(), Err(BadTxId::Shape(_))), "{text}");
        }
    }

    #[test]
    fn a_peer_cannot_smuggle_a_bad_key() {
        for name in ["", "a b", "a/b", "a\n", &"x".repeat(limits::KEY_MAX + 1)] {
            assert!(Key::new(name).is_err());
            assert!(decode::<Key>(&encode(name)).is_err());
        }
        let key = Key::new("alice").expect("a key");
        assert_eq!(decode::<Key>(&encode(&key)), Ok(key));
    }
}
