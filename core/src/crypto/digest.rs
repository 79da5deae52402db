//! Digests: BLAKE3, always under a context, so that a digest of one thing never names another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 32 bytes that name some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "serde_bytes")] [u8; 32]);

impl Digest {
    /// The digest of `bytes` in the context `what`, such as `"batch"`.
    pub fn of(what: &str, bytes: &[u8]) -> Self {
        Self::of_parts(what, &[bytes])
    }

    /// The digest of a list of byte strings, none of which can run into its neighbour.
    pub fn of_parts(what: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&context(what));
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
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

/// The key that separates one context from the others.
fn context(what: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/digest");
    hasher.update(what.as_bytes());
    *hasher.finalize().as_bytes()
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
    }
}
