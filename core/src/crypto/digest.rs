//! Digests: BLAKE3, always under a context, so that a digest of one thing never names another.

use std::{fmt, iter, sync::LazyLock};

use serde::{Deserialize, Serialize};

/// The key that separates these digests from all else that BLAKE3 is used for; derived once.
static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("maftia/v1/digest", b""));

/// The same for digests of long strings, which are laid out in another way.
static LONG: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("maftia/v1/long", b""));

/// 32 bytes that name some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "serde_bytes")] [u8; 32]);

impl Digest {
    /// The digest of `bytes` in the context `what`, such as `"batch"`.
    pub fn of(what: &str, bytes: &[u8]) -> Self {
        Self::of_parts(what, &[bytes])
    }

    /// The digest of a list of byte strings, none of which can run into its neighbour or the context.
    pub fn of_parts(what: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&KEY);
        for part in iter::once(&what.as_bytes()).chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest of a long string and a short one. BLAKE3 hashes many blocks at a time, but not at once
    /// where a long string comes behind something else: so it goes first, and the lengths at the end say
    /// where each part ends.
    pub fn of_long(what: &str, long: &[u8], short: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&LONG);
        hasher.update(long).update(short).update(what.as_bytes());
        for part in [long, short, what.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_and_borders_matter() {
        assert_ne!(Digest::of("a", b"x"), Digest::of("b", b"x"));
        assert_ne!(Digest::of_parts("a", &[b"xy", b"z"]), Digest::of_parts("a", &[b"x", b"yz"]));
        assert_eq!(Digest::of("a", b"x"), Digest::of_parts("a", &[b"x"]));
        assert_ne!(Digest::of("a", b"x"), Digest::of_parts("", &[b"a", b"x"]));
    }

    #[test]
    fn a_long_string_has_borders_too() {
        let digests = [
            Digest::of_long("a", b"xy", b"z"),
            Digest::of_long("a", b"x", b"yz"),
            Digest::of_long("za", b"xy", b""),
            Digest::of_long("", b"xy", b"za"),
            Digest::of_parts("a", &[b"xy", b"z"]),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }
}
