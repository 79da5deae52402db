//! Names that cannot be mixed up, and that print short.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::crypto::Digest;

/// A member of a group, by its place in the agreed list of keys. Not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartyId(u16);

impl PartyId {
    /// The party at this place of the list.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its place, to index a vector with one entry a party.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its place, as it stands on the wire.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// All parties of a group of `n`, in order.
    pub fn all(n: u16) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        (0..n).map(Self)
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// A group, by its place in the configuration. Its name is found in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(u16);

impl GroupId {
    /// The group at this place of the configuration.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its place in the configuration.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// Version of a group's membership and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(u32);

impl Epoch {
    /// The first one.
    pub const FIRST: Self = Self(0);

    /// The epoch with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// One who uses a group without being in it: the beginning of the digest of its public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId([u8; 16]);

impl ClientId {
    /// The client that holds the key with this digest.
    pub fn of_key(key: &Digest) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&key.as_bytes()[..16]);
        Self(id)
    }

    /// The bytes of the name.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:02x}{:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who speaks, as the one who listens sees it. The link has authenticated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Peer {
    /// A member of the listener's own group, itself included.
    Member(PartyId),
    /// A member of another group.
    Foreign(GroupId, PartyId),
    /// A client.
    Client(ClientId),
}

impl Peer {
    /// The party, if the speaker is of the listener's own group.
    pub const fn member(self) -> Option<PartyId> {
        match self {
            Self::Member(party) => Some(party),
            Self::Foreign(..) | Self::Client(_) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(party) => write!(f, "{party}"),
            Self::Foreign(group, party) => write!(f, "{group}/{party}"),
            Self::Client(client) => write!(f, "{client}"),
        }
    }
}

/// A counter that names a step of one kind. Kinds do not mix; a wrapped counter is a panic.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(u64);

        impl $name {
            /// Where counting begins.
            pub const FIRST: Self = Self(0);

            /// The one with this number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            pub const fn number(self) -> u64 {
                self.0
            }

            /// The one after it.
            #[must_use]
            pub const fn next(self) -> Self {
                self.plus(1)
            }

            /// The one `count` places after it.
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0.checked_add(count).expect("2^64 steps are out of reach"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

counter!(
    /// A step counter inside one agreement or stream.
    Round
);
counter!(
    /// The position of a payload in an atomic stream; replicated time.
    Slot
);
counter!(
    /// One try of a candidate in multivalued agreement.
    Turn
);
