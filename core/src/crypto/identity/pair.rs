//! What two owners share without ever having met.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    crypto::{Digest, Mac},
    path::Tag,
    seat::Owner,
};

/// The secrets of two owners, one for each use.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Pair {
    shared: [u8; 32],
    outgoing: [u8; 32],
    incoming: [u8; 32],
}

impl Pair {
    /// The secrets that follow from the agreed one, as `own` sees them.
    pub(super) fn new(agreed: &[u8], own: Owner, other: Owner) -> Self {
        let (low, high) = if own <= other { (own, other) } else { (other, own) };
        Self {
            shared: derive("maftia/v1/pairwise secret", agreed, low, high),
            outgoing: derive("maftia/v1/pairwise authenticator", agreed, own, other),
            incoming: derive("maftia/v1/pairwise authenticator", agreed, other, own),
        }
    }

    /// The secret for other uses than authenticators.
    pub(super) fn shared(&self) -> &[u8; 32] {
        &self.shared
    }

    /// An authenticator to the other.
    pub(super) fn outgoing(&self, tag: &Tag, digest: &Digest) -> Mac {
        mac(&self.outgoing, tag, digest)
    }

    /// The authenticator that the other would have sent.
    pub(super) fn incoming(&self, tag: &Tag, digest: &Digest) -> Mac {
        mac(&self.incoming, tag, digest)
    }
}

fn derive(context: &str, agreed: &[u8], first: Owner, second: Owner) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&first.to_bytes()).update(&second.to_bytes()).update(agreed);
    let key = *hasher.finalize().as_bytes();
    hasher.zeroize();
    key
}

fn mac(key: &[u8; 32], tag: &Tag, digest: &Digest) -> Mac {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(tag.as_bytes()).update(digest.as_bytes());
    let mut mac = Mac([0; 16]);
    mac.0.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    mac
}
