//! Ideal cryptography: every scheme as keyed BLAKE3 under a secret of the simulated world.
//!
//! A hash under the world's secret can be made by the world only, and the world makes it only for
//! the one whose it is: a corrupted party that holds nothing but its own [`Keys`] can forge nothing,
//! and below the threshold nothing combines. An operation costs well under a microsecond a share.

mod scheme;

use std::{fmt, sync::Arc};

use scheme::{Coin, Seal, Shares, Signatures};

use crate::{
    crypto::{Digest, Identity, Keys, Mac, Signature},
    id::GroupId,
    path::Tag,
    seat::{Directory, Group, Owner},
};

/// The keys of `owner` in the world with this secret. `group` is the one whose certificates, coins
/// and ciphertexts it handles: its own, or the one that a client talks to. Without a group it holds
/// an identity only: nothing combines and nothing checks.
pub fn keys(
    world_secret: [u8; 32],
    owner: Owner,
    group: Option<&Group>,
    directory: &Directory,
) -> Keys {
    let world = World(world_secret);
    let shares =
        |what: u8, needed: fn(&Group) -> usize| Shares::new(world, what, owner, group, needed);
    let sizes = directory.groups().iter().map(|group| group.thresholds.n()).collect();
    Keys {
        identity: Arc::new(IdealIdentity { world, owner, sizes }),
        quorum: Arc::new(Signatures(shares(0, |group| group.thresholds.quorum()))),
        service: Arc::new(Signatures(shares(1, |group| group.thresholds.one_correct()))),
        signature: Arc::new(Signatures(shares(4, |group| group.thresholds.one_correct()))),
        coin: Arc::new(Coin(shares(2, |group| group.thresholds.one_correct()))),
        cipher: Arc::new(Seal(shares(3, |group| group.thresholds.one_correct()))),
    }
}

/// What the world alone can do: hashes that nobody can guess.
#[derive(Clone, Copy)]
struct World([u8; 32]);

impl World {
    /// The hash of these parts, each of which has a fixed length for its `what`, but for the last.
    fn hash(&self, what: u8, parts: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[what]);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// Signatures and authenticators of one owner.
#[derive(Debug)]
struct IdealIdentity {
    world: World,
    owner: Owner,
    /// How many members each group has: others do not exist.
    sizes: Vec<u16>,
}

impl IdealIdentity {
    const SIGNATURE: u8 = 16;
    const MAC: u8 = 17;

    fn knows(&self, other: Owner) -> bool {
        match other {
            Owner::Party(group, party) => {
                self.sizes.get(group.index()).is_some_and(|n| party.number() < *n)
            }
            Owner::Client(_) => true,
        }
    }

    fn mac(&self, from: Owner, to: Owner, tag: &Tag, digest: &Digest) -> Mac {
        let parts: [&[u8]; 4] =
            [&from.to_bytes(), &to.to_bytes(), tag.as_bytes(), digest.as_bytes()];
        let hash = self.world.hash(Self::MAC, &parts);
        let mut mac = Mac([0; 16]);
        mac.0.copy_from_slice(&hash.as_bytes()[..16]);
        mac
    }

    fn signature(&self, signer: Owner, tag: &Tag, digest: &Digest) -> blake3::Hash {
        self.world.hash(Self::SIGNATURE, &[&signer.to_bytes(), tag.as_bytes(), digest.as_bytes()])
    }
}

impl Identity for IdealIdentity {
    fn sign(&self, tag: &Tag, digest: &Digest) -> Signature {
        let hash = self.signature(self.owner, tag, digest);
        Signature(hash.as_bytes().to_vec().into())
    }

    fn verify(&self, signer: Owner, tag: &Tag, digest: &Digest, signature: &Signature) -> bool {
        self.knows(signer) && signature.0[..] == self.signature(signer, tag, digest).as_bytes()[..]
    }

    fn authenticate(&self, other: Owner, tag: &Tag, digest: &Digest) -> Option<Mac> {
        self.knows(other).then(|| self.mac(self.owner, other, tag, digest))
    }

    fn check(&self, other: Owner, tag: &Tag, digest: &Digest, mac: &Mac) -> bool {
        self.knows(other) && *mac == self.mac(other, self.owner, tag, digest)
    }
}

/// The bytes that stand for a group in a hash.
fn group_bytes(group: GroupId) -> [u8; 8] {
    (group.index() as u64).to_le_bytes()
}

#[cfg(test)]
mod tests;
