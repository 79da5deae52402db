//! Which scheme made a share or a ciphertext: the first byte of it on the wire.
//!
//! Schemes over one curve have points that look alike, so that without the byte a share of another
//! scheme would be one that does not verify, and its sender accused of a lie. With it, everybody is
//! told what is wrong: two members with different ideas of the configuration, most likely.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Share;
use crate::{fault::Fault, wire::limits};

/// A scheme. Its number stands on the wire and is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Scheme {
    /// A vector of P-256 signatures.
    Multisig = 1,
    /// Shoup's RSA.
    Rsa = 2,
    /// Diffie and Hellman's assumption on P-256.
    Ddh = 3,
    /// Pairings on BLS12-381, as `threshold_crypto` computes and hashes.
    Pairing = 4,
    /// Pairings on BLS12-381, as `blst` computes and RFC 9380 hashes.
    PairingBlst = 5,
    /// None at all: what the simulator puts in their place.
    Ideal = 255,
}

impl Scheme {
    const ALL: [Self; 6] =
        [Self::Multisig, Self::Rsa, Self::Ddh, Self::Pairing, Self::PairingBlst, Self::Ideal];

    /// The scheme that made these bytes, if it is known.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mark = bytes.first()?;
        Self::ALL.into_iter().find(|scheme| *scheme as u8 == *mark)
    }

    /// How configurations and key files call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Multisig => "multisig",
            Self::Rsa => "rsa",
            Self::Ddh => "ddh",
            Self::Pairing => "pairing",
            Self::PairingBlst => "pairing-blst",
            Self::Ideal => "ideal",
        }
    }

    /// A share of this scheme, made of these parts.
    pub(crate) fn share(self, parts: &[&[u8]]) -> Share {
        Share(self.mark(parts))
    }

    /// These parts, marked as being of this scheme.
    pub(crate) fn mark(self, parts: &[&[u8]]) -> Bytes {
        let mut bytes = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
        bytes.push(self as u8);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.into()
    }

    /// What follows the mark, if it is the one of this scheme.
    pub(crate) fn body(self, bytes: &[u8]) -> Option<&[u8]> {
        bytes.split_first().filter(|(mark, _)| **mark == self as u8).map(|(_, body)| body)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Share {
    /// What can be said of a share without a key: that it is not too large, and of the scheme that the
    /// group has. The error names both.
    pub fn admit(&self, ours: Scheme) -> Result<(), Fault> {
        if self.0.len() > limits::SHARE_BYTES_MAX {
            return Err(Fault::Improper("share too large".into()));
        }
        let theirs = Scheme::of(&self.0);
        if theirs == Some(ours) { Ok(()) } else { Err(Fault::OtherScheme { theirs, ours }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_again_and_others_named() {
        for scheme in Scheme::ALL {
            let share = scheme.share(&[b"a", b"share"]);
            assert_eq!(Scheme::of(&share.0), Some(scheme));
            assert_eq!(scheme.body(&share.0), Some(&b"ashare"[..]));
            assert_eq!(share.admit(scheme), Ok(()));
        }
        let share = Scheme::Pairing.share(&[b"a share"]);
        assert_eq!(Scheme::PairingBlst.body(&share.0), None);
        let fault = share.admit(Scheme::PairingBlst).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "sent a share of `pairing` where the group has `pairing-blst`"
        );
        for bytes in [&b""[..], b"\0", b"\x06x"] {
            let fault = Share(Bytes::copy_from_slice(bytes)).admit(Scheme::Ddh).unwrap_err();
            assert_eq!(
                fault.to_string(),
                "sent a share of an unknown scheme where the group has `ddh`"
            );
        }
        let large = Scheme::Ddh.share(&[&[0; limits::SHARE_BYTES_MAX]]);
        assert!(matches!(large.admit(Scheme::Ddh), Err(Fault::Improper(_))));
    }
}
