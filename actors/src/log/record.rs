//! What is in a log.

use bytes::Bytes;
use maftia_core::{
    effects::Lane,
    mail::Mail,
    path::InstanceId,
    protocol::Protocol,
    seat::Owner,
    wire::{self, DecodeError, Part, Rope},
};
use serde::{Deserialize, Serialize};

use super::Lsn;

/// Which frame of which link a piece of mail was. It is taken once, restarts or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who sent it.
    pub from: Owner,
    /// On which lane.
    pub lane: Lane,
    /// Its number there.
    pub number: u64,
}

/// A piece of mail that an actor took.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The root of the actor's tree.
    pub instance: InstanceId,
    /// The frame that it was, if it was one.
    pub origin: Option<Origin>,
    /// The mail, encoded.
    pub mail: Bytes,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An actor took mail.
    Took(Entry),
    /// This record felled its actor and is to be skipped for ever.
    Skipped(Lsn),
    /// A guest's link was forgotten: the guest counts its frames from 1 if it comes again.
    Forgot(Owner),
}

/// Writes itself into a log, once: what is logged is never encoded to be copied, and payloads are shared
/// with whoever else has them.
pub trait Inscribe {
    /// Appends the bytes of one record.
    fn inscribe(&self, to: &mut Rope);
}

/// The first byte of a record.
const TOOK: u8 = 0;
const SKIPPED: u8 = 1;
const FORGOT: u8 = 2;

/// A piece of mail that an actor takes, before it is encoded.
pub(crate) struct Taking<'a, P: Protocol> {
    /// The name of the root of the actor's tree, encoded: it is the same for all its mail.
    pub(crate) instance: &'a [u8],
    pub(crate) origin: Option<Origin>,
    pub(crate) mail: &'a Mail<P>,
}

impl<P: Protocol> Inscribe for Taking<'_, P> {
    fn inscribe(&self, to: &mut Rope) {
        took(to, self.instance, self.origin);
        to.add(self.mail);
    }
}

impl Inscribe for Record {
    fn inscribe(&self, to: &mut Rope) {
        match self {
            Self::Took(Entry { instance, origin, mail }) => {
                took(to, &wire::encode(instance), *origin);
                to.share(mail);
            }
            Self::Skipped(lsn) => {
                to.copy(&[SKIPPED]);
                to.copy(&lsn.to_le_bytes());
            }
            Self::Forgot(owner) => {
                to.copy(&[FORGOT]);
                to.add(owner);
            }
        }
    }
}

/// What stands before the mail: the kind, the instance, and the origin or nothing, each behind its
/// length.
fn took(to: &mut Rope, instance: &[u8], origin: Option<Origin>) {
    to.copy(&[TOOK]);
    let len = u16::try_from(instance.len()).expect("names of instances are short");
    to.copy(&len.to_le_bytes());
    to.copy(instance);
    let gap = to.gap::<1>();
    if let Some(origin) = origin {
        let at = to.len();
        to.add(&origin);
        let len = u8::try_from(to.len() - at).expect("an origin is three numbers and a name");
        to.fill(gap, [len]);
    }
}

impl Record {
    /// The record that these bytes are.
    pub fn read(bytes: &Bytes) -> Result<Self, DecodeError> {
        let short = || DecodeError::Malformed("a record ends in its middle".into());
        let (kind, rest) = bytes.split_first().ok_or_else(short)?;
        match *kind {
            TOOK => {
                let (len, rest) = rest.split_first_chunk().ok_or_else(short)?;
                let (instance, rest) =
                    rest.split_at_checked(u16::from_le_bytes(*len).into()).ok_or_else(short)?;
                let (len, rest) = rest.split_first().ok_or_else(short)?;
                let (origin, mail) = rest.split_at_checked((*len).into()).ok_or_else(short)?;
                Ok(Self::Took(Entry {
                    instance: wire::decode_own(instance)?,
                    origin: if origin.is_empty() { None } else { wire::decode_own(origin)? },
                    mail: bytes.slice_ref(mail),
                }))
            }
            SKIPPED => Ok(Self::Skipped(Lsn::from_le_bytes(rest.try_into().map_err(|_| short())?))),
            FORGOT => Ok(Self::Forgot(wire::decode_own(rest)?)),
            kind => Err(DecodeError::Malformed(format!("no record is of kind {kind}"))),
        }
    }
}

/// A whole party at rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The last record that is in it.
    pub at: Lsn,
    /// The trees of all actors.
    pub trees: Vec<(InstanceId, Rope)>,
    /// The sessions of the links: what peers have not acknowledged, and what was taken from them.
    pub links: Rope,
}

impl Snapshot {
    /// How much it weighs, in bytes.
    pub fn bytes(&self) -> u64 {
        self.ropes().map(|rope| rope.len() as u64).sum()
    }

    /// How many of these bytes are its own: payloads it shares with the records that brought them.
    pub fn own(&self) -> u64 {
        self.ropes().map(|rope| rope.own() as u64).sum()
    }

    /// The trees, then the links.
    fn ropes(&self) -> impl Iterator<Item = &Rope> {
        self.trees.iter().map(|(_, tree)| tree).chain([&self.links])
    }

    /// The stretches of all of it, in the same order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.ropes().flat_map(Rope::parts)
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::id::{Epoch, GroupId, PartyId};

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_not_when_it_is_cut() {
        let instance = InstanceId::root(GroupId::new(0), Epoch::FIRST, "g");
        let from = Owner::Party(GroupId::new(0), PartyId::new(1));
        let origin = Some(Origin { from, lane: Lane::Bulk, number: u64::MAX });
        for record in [
            Record::Took(Entry { instance: instance.clone(), origin, mail: Bytes::new() }),
            Record::Took(Entry { instance, origin: None, mail: Bytes::new() }),
            Record::Skipped(7),
            Record::Forgot(from),
        ] {
            let mut rope = Rope::default();
            record.inscribe(&mut rope);
            let bytes = rope.flat();
            assert_eq!(Record::read(&bytes), Ok(record));
            for end in 0..bytes.len() {
                assert!(Record::read(&bytes.slice(..end)).is_err(), "cut at {end}");
            }
        }
    }
}
