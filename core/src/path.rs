//! Instance paths: routing key, session id, domain separation, log span and metric label in one.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};
use smallvec::SmallVec;

use crate::{
    crypto::Digest,
    id::{Epoch, GroupId, PartyId, Round, Turn},
};

/// The key that separates tags from all other digests; derived once.
static TAGS: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("maftia/v1/tag", b""));

/// What a child is to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// A round of a stream.
    Round = 0,
    /// A party's proposal in multivalued agreement.
    Proposal = 1,
    /// A party's commit vector in multivalued agreement.
    Commit = 2,
    /// The vote on one candidate.
    Vote = 3,
    /// A common coin.
    Coin = 4,
    /// The agreement of one round.
    Agreement = 5,
    /// The binary agreement inside a validated one.
    Binary = 6,
    /// The stream that a replica stands on.
    Stream = 7,
    /// The lock manager of a resource manager.
    Locks = 8,
    /// A heavy job, handed to the pool.
    Job = 9,
    /// The payloads of one sender in a stream that orders by sender.
    Sender = 20,
    /// One broadcast of a sender.
    Broadcast = 21,
    /// An instance that an application opened by name.
    Named = 22,
    /// What outsiders read of a stream.
    Readers = 23,
    /// A child of a protocol outside this project.
    Other = 255,
}

impl Role {
    const ALL: [Self; 15] = [
        Self::Round,
        Self::Proposal,
        Self::Commit,
        Self::Vote,
        Self::Coin,
        Self::Agreement,
        Self::Binary,
        Self::Stream,
        Self::Locks,
        Self::Job,
        Self::Sender,
        Self::Broadcast,
        Self::Named,
        Self::Readers,
        Self::Other,
    ];

    /// The child of this role with this number.
    pub fn at(self, number: impl Number) -> Segment {
        Segment { role: self, number: number.number() }
    }

    /// The only child of this role.
    pub const fn only(self) -> Segment {
        Segment { role: self, number: 0 }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Round => "round",
            Self::Proposal => "proposal",
            Self::Commit => "commit",
            Self::Vote => "vote",
            Self::Coin => "coin",
            Self::Agreement => "agreement",
            Self::Binary => "binary",
            Self::Stream => "stream",
            Self::Locks => "locks",
            Self::Job => "job",
            Self::Sender => "sender",
            Self::Broadcast => "broadcast",
            Self::Named => "named",
            Self::Readers => "readers",
            Self::Other => "other",
        }
    }
}

impl Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u8::deserialize(deserializer)?;
        Self::ALL
            .into_iter()
            .find(|role| *role as u8 == code)
            .ok_or_else(|| serde::de::Error::custom(format_args!("no role has the code {code}")))
    }
}

/// What may number a child.
pub trait Number {
    /// The number.
    fn number(self) -> u64;
}

impl Number for u64 {
    fn number(self) -> u64 {
        self
    }
}

impl Number for PartyId {
    fn number(self) -> u64 {
        Self::number(self).into()
    }
}

impl Number for Round {
    fn number(self) -> u64 {
        Self::number(self)
    }
}

impl Number for Turn {
    fn number(self) -> u64 {
        Self::number(self)
    }
}

/// One step down from a parent to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// What the child is to the parent.
    pub role: Role,
    /// Which of them.
    pub number: u64,
}

impl Segment {
    /// The party that a per-party child belongs to.
    pub fn party(self) -> PartyId {
        PartyId::new(u16::try_from(self.number).expect("per-party children are numbered by party"))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.role.name(), self.number)
    }
}

/// Where a tree of instances is rooted: a group, an epoch of it, a configured name, and which use
/// of that name this is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Root {
    /// The group that runs it.
    pub group: GroupId,
    /// The version of its membership and keys.
    pub epoch: Epoch,
    /// The name that the configuration gives.
    pub name: Arc<str>,
    /// How often the name was opened before.
    pub usage: u32,
}

/// The name of one instance everywhere: `orders/round.3/proposal.1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    root: Arc<Root>,
    #[serde(deserialize_with = "no_deeper")]
    path: Path,
}

/// The segments below a root. Deeper than [`InstanceId::DEPTH_MAX`] nothing is decoded.
pub type Path = SmallVec<[Segment; 4]>;

/// Reads a path step by step: [`SmallVec`] would make room for as many as the bytes claim to hold.
fn no_deeper<'de, D: Deserializer<'de>>(from: D) -> Result<Path, D::Error> {
    struct Steps;

    impl<'de> Visitor<'de> for Steps {
        type Value = Path;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} segments", InstanceId::DEPTH_MAX)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut steps: A) -> Result<Path, A::Error> {
            let mut path = Path::new();
            while let Some(segment) = steps.next_element()? {
                if path.len() == InstanceId::DEPTH_MAX {
                    return Err(A::Error::invalid_length(path.len() + 1, &self));
                }
                path.push(segment);
            }
            Ok(path)
        }
    }

    from.deserialize_seq(Steps)
}

impl InstanceId {
    /// The deepest path that is decoded: a replica's stream's round's agreement's vote's binary's
    /// coin is six segments deep.
    pub const DEPTH_MAX: usize = 8;

    /// The root instance with this name, in its first use.
    pub fn root(group: GroupId, epoch: Epoch, name: &str) -> Self {
        Self::reopened(group, epoch, name, 0)
    }

    /// The root instance with this name, opened `usage` times before.
    pub fn reopened(group: GroupId, epoch: Epoch, name: &str, usage: u32) -> Self {
        Self { root: Arc::new(Root { group, epoch, name: name.into(), usage }), path: Path::new() }
    }

    /// The child of this instance at `segment`.
    #[must_use]
    pub fn child(&self, segment: Segment) -> Self {
        let mut path = self.path.clone();
        path.push(segment);
        Self { root: Arc::clone(&self.root), path }
    }

    /// The instance that asked for this one, and where it put it.
    pub fn parent(&self) -> Option<(Self, Segment)> {
        let (last, above) = self.path.split_last()?;
        Some((Self { root: Arc::clone(&self.root), path: above.into() }, *last))
    }

    /// Where the tree is rooted.
    pub fn of(&self) -> &Root {
        &self.root
    }

    /// The way down from the root.
    pub fn path(&self) -> &[Segment] {
        &self.path
    }

    /// The way down from `above` to here, if `above` is above or equal.
    pub fn below<'a>(&'a self, above: &Self) -> Option<&'a [Segment]> {
        let same = Arc::ptr_eq(&self.root, &above.root) || self.root == above.root;
        if same { self.path.strip_prefix(above.path.as_slice()) } else { None }
    }

    /// What every share, signature and digest of the step `what` of this instance covers.
    pub fn tag(&self, what: &str) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(&TAGS);
        hasher.update(&(self.root.group.index() as u64).to_le_bytes());
        hasher.update(self.root.epoch.to_string().as_bytes());
        hasher.update(&self.root.usage.to_le_bytes());
        hasher.update(&(self.root.name.len() as u64).to_le_bytes());
        hasher.update(self.root.name.as_bytes());
        for segment in &self.path {
            hasher.update(&[segment.role as u8]);
            hasher.update(&segment.number.to_le_bytes());
        }
        // No role has this code, so a path cannot continue into a step.
        hasher.update(&[254]);
        hasher.update(what.as_bytes());
        Tag(Digest::from(hasher.finalize()))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root.name)?;
        if self.root.usage > 0 {
            write!(f, "#{}", self.root.usage)?;
        }
        self.path.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

/// A domain: group, epoch, instance and step. What is signed for one tag means nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag(Digest);

impl Tag {
    /// A domain inside this one, such as a numbered round.
    #[must_use]
    pub fn numbered(&self, number: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/numbered tag");
        hasher.update(self.0.as_bytes());
        hasher.update(&number.to_le_bytes());
        Self(Digest::from(hasher.finalize()))
    }

    /// The bytes that stand for the domain.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn orders() -> InstanceId {
        InstanceId::root(GroupId::new(1), Epoch::FIRST, "orders")
    }

    #[test]
    fn a_path_reads_like_a_path() {
        let id = orders().child(Role::Round.at(12)).child(Role::Proposal.at(PartyId::new(3)));
        assert_eq!(id.to_string(), "orders/round.12/proposal.3");
        assert_eq!(id.below(&orders()).map(<[Segment]>::len), Some(2));
        assert_eq!(orders().below(&id), None);
    }

    #[test]
    fn nothing_deeper_than_any_instance_is_decoded() {
        let deep = |depth| (0..depth).fold(orders(), |id, _| id.child(Role::Round.at(1)));
        let deepest = deep(InstanceId::DEPTH_MAX);
        assert_eq!(wire::decode(&wire::encode(&deepest)), Ok(deepest));
        let error = wire::decode::<InstanceId>(&wire::encode(&deep(InstanceId::DEPTH_MAX + 1)));
        assert!(error.unwrap_err().to_string().contains("at most 8 segments"));
    }

    #[test]
    fn no_two_steps_share_a_tag() {
        let mut tags = std::collections::BTreeSet::new();
        let mut count = 0;
        for group in 0..3 {
            for name in ["a", "ab", "b"] {
                let root = InstanceId::root(GroupId::new(group), Epoch::FIRST, name);
                for id in
                    [root.clone(), root.child(Role::Round.at(1)), root.child(Role::Vote.at(1))]
                {
                    for step in ["echo", "coin", ""] {
                        tags.insert(id.tag(step));
                        tags.insert(id.tag(step).numbered(1));
                        count += 2;
                    }
                }
            }
        }
        assert_eq!(tags.len(), count);
    }
}
