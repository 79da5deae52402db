//! What a frame carries, shared between all the peers that it goes to.

use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};
use maftia_core::{
    crypto::Digest,
    path::InstanceId,
    wire::{self, limits},
};
use serde::{Deserialize, Serialize};

/// The longest encoded instance, in bytes: the deepest path, and a name of 256 letters.
const INSTANCE_MAX: usize = 512;

/// The most bytes that instance and body may have together: a full frame and its address.
pub(super) const PARCEL_MAX: usize = limits::FRAME_MAX + INSTANCE_MAX + 2;

/// What is kept of a parcel beside its bytes, for the bounds of a backlog.
const OVERHEAD: usize = 128;

/// The key that separates digests of parcels from all others; derived once.
static CONTEXT: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("maftia/v1/link parcel", b""));

/// A body, its address, and the digest of both, which is computed once however many peers get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// The length of the encoded instance in two bytes, and the instance.
    pub(super) address: Bytes,
    #[serde(with = "wire::bulk")]
    pub(super) body: Bytes,
    pub(super) digest: Digest,
}

/// Why bytes are no parcel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParcel {
    /// The body or the address is longer than any may be.
    #[error("a parcel of {0} bytes is above the limit of {PARCEL_MAX}")]
    TooLong(usize),
    /// The bytes end before the address does.
    #[error("the address is cut off")]
    Cut,
    /// The address names no instance.
    #[error("the address is no instance: {0}")]
    Address(String),
}

impl Parcel {
    /// A parcel to `instance`.
    pub fn new(instance: &InstanceId, body: Bytes) -> Result<Self, BadParcel> {
        Self::to(address_of(instance)?, body)
    }

    /// A parcel to the instance with this address.
    pub(super) fn to(address: Bytes, body: Bytes) -> Result<Self, BadParcel> {
        if body.len() > limits::FRAME_MAX {
            return Err(BadParcel::TooLong(address.len().saturating_add(body.len())));
        }
        Ok(Self::of(address, body))
    }

    /// The parcel that came over a wire, still unchecked.
    pub(super) fn of(address: Bytes, body: Bytes) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&CONTEXT);
        // The body first: a long one is hashed many blocks at a time only from the beginning. The
        // length at the end says where the address begins.
        hasher.update(&body).update(&address).update(&(address.len() as u16).to_le_bytes());
        let digest = hasher.finalize().into();
        Self { address, body, digest }
    }

    /// Parts the bytes of a frame into address and body.
    pub(super) fn part(mut bytes: Bytes) -> Result<(Bytes, Bytes), BadParcel> {
        let length = *bytes.first_chunk::<2>().ok_or(BadParcel::Cut)?;
        let end = 2 + usize::from(u16::from_le_bytes(length));
        if end > bytes.len() || end > 2 + INSTANCE_MAX {
            return Err(BadParcel::Cut);
        }
        let address = bytes.split_to(end);
        Ok((address, bytes))
    }

    /// Whom it is for.
    pub fn instance(&self) -> Result<InstanceId, BadParcel> {
        instance_of(&self.address)
    }

    /// Its length on the wire, in bytes.
    pub(super) fn len(&self) -> usize {
        self.address.len() + self.body.len()
    }

    /// What it weighs in a backlog, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.len() + OVERHEAD
    }
}

/// The length of the encoded instance in two bytes, and the instance.
pub(super) fn address_of(instance: &InstanceId) -> Result<Bytes, BadParcel> {
    let name = wire::encode(instance);
    if name.len() > INSTANCE_MAX {
        return Err(BadParcel::TooLong(name.len()));
    }
    let mut address = BytesMut::with_capacity(2 + name.len());
    address.put_u16_le(name.len() as u16);
    address.put_slice(&name);
    Ok(address.freeze())
}

/// The instance with this address.
pub(super) fn instance_of(address: &[u8]) -> Result<InstanceId, BadParcel> {
    let name = address.get(2..).ok_or(BadParcel::Cut)?;
    wire::decode(name).map_err(|error| BadParcel::Address(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::orders;

    #[test]
    fn what_is_parted_is_what_was_packed() {
        let parcel = Parcel::new(&orders(), Bytes::from_static(b"body")).unwrap();
        let bytes = Bytes::from([&parcel.address[..], &parcel.body].concat());
        let (address, body) = Parcel::part(bytes.clone()).unwrap();
        assert_eq!(Parcel::of(address, body), parcel);
        assert_eq!(parcel.instance(), Ok(orders()));
        for cut in 0..parcel.address.len() {
            assert_eq!(Parcel::part(bytes.slice(..cut)), Err(BadParcel::Cut));
        }
    }

    #[test]
    fn an_address_is_an_instance_or_refused() {
        let mut dice = 7_u64;
        for _ in 0..20_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bytes = dice.to_le_bytes();
            let length = (dice >> 60) as usize % 9;
            let address = Bytes::from([&[length as u8, 0], &bytes[..length.min(8)]].concat());
            assert!(Parcel::of(address, Bytes::new()).instance().is_err());
        }
        let long = InstanceId::root(orders().of().group, orders().of().epoch, &"x".repeat(600));
        assert!(matches!(Parcel::new(&long, Bytes::new()), Err(BadParcel::TooLong(_))));
    }

    #[test]
    fn address_and_body_do_not_run_into_each_other() {
        let parcel = |name: &str, body: &'static [u8]| {
            let id = InstanceId::root(orders().of().group, orders().of().epoch, name);
            Parcel::new(&id, Bytes::from_static(body)).unwrap().digest
        };
        assert_ne!(parcel("a", b"bc"), parcel("ab", b"c"));
    }
}
