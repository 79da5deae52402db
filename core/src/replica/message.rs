//! What replicas, clients and other groups say to one another.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    number::{Number, STRANDS_MAX},
    pages::PAGES_MAX,
};
use crate::{
    crypto::{Digest, Mac, PublicKey},
    effects::Lane,
    fault::Fault,
    id::{ClientId, GroupId},
    seat::{Owner, Seat},
    stream::atomic::MEMO_BYTES_MAX,
    wire::{self, limits},
};

/// The most ids in one ballot: 40 KiB of them, which a round orders as fast as an empty one.
pub(super) const IDS_MAX: usize = 1_024;

/// The most bodies that one message asks for: their answers are as many frames.
pub(super) const FETCH_MAX: usize = 64;

/// The most commands of one request: each leaves an item and a reply at one slot, which then takes
/// about a millisecond.
pub(super) const COMMANDS_MAX: usize = 1_024;

/// A piece of a state in transfer, in bytes: a fifth of a frame, so that control frames of the same
/// link are not kept waiting.
pub(super) const CHUNK: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// One thing that a client wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which of its commands this is.
    pub number: Number,
    /// What is asked.
    pub body: Bytes,
}

/// A client's request: commands that travel, are vouched for and ordered together. Every replica finds
/// its own authenticator in it, so that nobody on the way can alter it and no replica can invent one
/// that a correct replica vouches for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub client: ClientId,
    /// What is asked, in this order.
    pub commands: Vec<Asked>,
    /// One authenticator a replica, in their order, over the id.
    pub macs: Vec<Mac>,
    /// The public key of a client without a dealt one, which is named by its digest. With it the
    /// request speaks for itself: whoever judges it says the same whomever it has met.
    pub key: Option<Bytes>,
}

impl Request {
    /// The request with authenticators for every member of the group of `seat`, a client's.
    ///
    /// A member whose key is unknown gets one that does not verify: it fetches the request's effect
    /// from the others.
    pub fn sealed(seat: &Seat, client: ClientId, commands: Vec<Asked>) -> Self {
        let id = request_id(client, &commands);
        let tag = seat.tag("request");
        let mac = |party| {
            let owner = Owner::Party(seat.group.id, party);
            seat.keys.identity.authenticate(owner, &tag, &id).unwrap_or(Mac([0; 16]))
        };
        let macs = seat.parties().map(mac).collect();
        Self { client, commands, macs, key: seat.keys.identity.shown_key() }
    }

    /// The name of the client and its commands.
    pub fn id(&self) -> Digest {
        request_id(self.client, &self.commands)
    }

    /// Whether the authenticator for the owner of `seat`, a replica, is right. The answer follows from
    /// the request and the dealt keys alone, so that a replay of a log judges as it was judged.
    pub fn is_genuine(&self, seat: &Seat) -> bool {
        let Some(mac) = self.macs.get(seat.me().index()) else { return false };
        let (identity, tag, id) = (&seat.keys.identity, seat.tag("request"), self.id());
        match &self.key {
            None => identity.check(Owner::Client(self.client), &tag, &id, mac),
            Some(key) => identity.check_shown(self.client, key, &tag, &id, mac),
        }
    }

    /// The bytes of all commands.
    pub(super) fn size(&self) -> usize {
        self.commands.iter().map(|asked| asked.body.len()).sum()
    }

    /// Judges the shape.
    pub(super) fn admit(&self, seat: &Seat) -> Result<(), Fault> {
        let improper = |what: &str| Err(Fault::Improper(what.into()));
        let sessions = |pair: &[Asked]| pair[0].number.head() == pair[1].number.head();
        if self.commands.is_empty() || self.commands.len() > COMMANDS_MAX {
            return improper("a request of no command or too many");
        }
        if !self.commands.windows(2).all(sessions) {
            return improper("a request of several sessions");
        }
        if self.commands.iter().any(|asked| asked.number.strand() >= STRANDS_MAX) {
            return improper("a request on a strand that there is not");
        }
        if self.size() > limits::PAYLOAD_MAX {
            return improper("a request larger than a payload may be");
        }
        if self.macs.len() != usize::from(seat.thresholds().n()) {
            return improper("a request without one authenticator a replica");
        }
        if self.key.as_ref().is_some_and(|key| key.len() != PublicKey::LEN) {
            return improper("a request with a key of another length");
        }
        Ok(())
    }
}

fn request_id(client: ClientId, commands: &[Asked]) -> Digest {
    let size = commands.iter().map(|asked| asked.body.len() + 22).sum();
    let mut bytes = Vec::with_capacity(size);
    for Asked { number, body } in commands {
        bytes.extend_from_slice(&number.to_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(body);
    }
    Digest::of_parts("request", &[client.as_bytes(), &bytes])
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// To which command.
    pub number: Number,
    /// The answer.
    pub body: Bytes,
}

/// What another group's service said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Which of its statements to this group, counted from 1.
    pub number: u64,
    /// How many of this group's statements had taken effect there.
    pub ack: u64,
    /// What it says.
    pub body: Bytes,
}

impl Statement {
    /// The name of the statement as one of the group `from`.
    pub fn id(&self, from: GroupId) -> Digest {
        let (group, number) = ((from.index() as u64).to_le_bytes(), self.number.to_le_bytes());
        Digest::of_parts("statement", &[&group, &number, &self.ack.to_le_bytes(), &self.body])
    }
}

/// The body of a vouched id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A client's request.
    Request(Request),
    /// A statement of a group.
    Statement(GroupId, Statement),
}

impl Body {
    /// The name by which it is vouched for.
    pub fn id(&self) -> Digest {
        match self {
            Self::Request(request) => request.id(),
            Self::Statement(from, statement) => statement.id(*from),
        }
    }

    /// What it weighs, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Request(request) => {
                request.size() + 56 * request.commands.len() + 16 * request.macs.len() + 192
            }
            Self::Statement(_, statement) => statement.body.len() + 128,
        }
    }
}

/// One payload of the stream: what a member vouches for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ballot {
    /// Which of its member's ballots this is, counted from 1. Only its member goes by it.
    pub number: u64,
    /// Requests whose bodies it holds and whose authenticators for it are right.
    pub requests: Vec<Digest>,
    /// Statements that it heard from enough members of their group.
    pub statements: Vec<Digest>,
    /// Vouches that it takes back: it needs the room.
    pub withdrawn: Vec<Digest>,
    /// How many of this group's statements have taken effect in other groups.
    pub acks: Vec<(GroupId, u64)>,
    /// The tick whose span it measured.
    pub tick: Option<u64>,
}

impl Ballot {
    /// The ballot that a member had ordered, if it is one.
    pub fn read(payload: &[u8]) -> Result<Self, Fault> {
        let ballot: Self =
            wire::decode(payload).map_err(|error| Fault::Undecodable(error.to_string()))?;
        let ids = ballot.requests.len() + ballot.statements.len() + ballot.withdrawn.len();
        if ids > IDS_MAX || ballot.acks.len() > IDS_MAX {
            return Err(Fault::Improper(format!("a ballot of {ids} ids")));
        }
        Ok(ballot)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self { number: self.number, ..Self::default() }
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The replica has no room for new requests now. Later it may have.
    Busy,
    /// A later session of the same client was opened, or the client's number is too old.
    Superseded,
    /// The group does not serve this client.
    Stranger,
    /// Others needed the place of the client's session, which may be opened anew in a later era. What
    /// of it took effect is not known any more.
    Forgotten,
}

/// What the copies of a replica, and the clients' sessions with them, say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Client to replica: do this.
    Request(Request),
    /// Replica to client: these are the answers.
    Replies(Vec<Reply>),
    /// Replica to client: not these.
    Refused {
        /// Which commands.
        numbers: Vec<Number>,
        /// Why.
        why: Refusal,
    },
    /// Client to replica: in which era are sessions opened?
    EraRequest,
    /// Replica to client: in this one.
    Era {
        /// The era.
        era: u64,
    },
    /// Group to group.
    Statement(Statement),
    /// Group to group: so many of your statements took effect here.
    Ack {
        /// How many.
        up_to: u64,
    },
    /// Replica to replica: you vouched for these; what are they?
    Fetch {
        /// The ids.
        ids: Vec<Digest>,
    },
    /// Replica to replica: this is one of them.
    Body(Body),
    /// Replica to replica: this is my state there.
    Checkpoint(Checkpoint),
    /// Replica to replica: which checkpoints do you hold?
    StateRequest,
    /// Replica to replica: send this piece of your state.
    ChunkRequest {
        /// The digest of the state.
        digest: Digest,
        /// Which piece.
        place: u32,
    },
    /// Replica to replica: a piece of a state.
    Chunk {
        /// The digest of the state.
        digest: Digest,
        /// Which piece.
        place: u32,
        /// The piece.
        bytes: Bytes,
    },
    /// Replica to replica: of which pieces is your state?
    ListRequest {
        /// The digest of the state.
        digest: Digest,
    },
    /// Replica to replica: of these, whose digests together have that of the state.
    List {
        /// The digest of the state.
        digest: Digest,
        /// The digests of its pieces.
        pieces: Vec<Digest>,
    },
}

impl Message {
    /// Whether a client may say it.
    pub(super) fn is_of_client(&self, client: ClientId) -> bool {
        match self {
            Self::Request(request) => request.client == client,
            said => matches!(said, Self::EraRequest),
        }
    }

    /// Whether a member of another group may say it.
    pub(super) fn is_of_group(&self) -> bool {
        matches!(self, Self::Statement(_) | Self::Ack { .. })
    }

    /// Whether a member of the own group may say it.
    pub(super) fn is_of_member(&self) -> bool {
        match self {
            Self::Fetch { .. }
            | Self::Body(_)
            | Self::Checkpoint(_)
            | Self::StateRequest
            | Self::ListRequest { .. }
            | Self::List { .. }
            | Self::ChunkRequest { .. }
            | Self::Chunk { .. } => true,
            Self::Request(_)
            | Self::Replies(_)
            | Self::Refused { .. }
            | Self::EraRequest
            | Self::Era { .. }
            | Self::Statement(_)
            | Self::Ack { .. } => false,
        }
    }

    /// Judges sizes.
    pub(super) fn admit(&self, seat: &Seat) -> Result<(), Fault> {
        match self {
            Self::Request(request) | Self::Body(Body::Request(request)) => request.admit(seat),
            Self::Statement(statement) | Self::Body(Body::Statement(_, statement)) => {
                within(statement.body.len(), limits::PAYLOAD_MAX, "bytes of a statement")
            }
            Self::Replies(replies) => within(replies.len(), COMMANDS_MAX, "answers at once"),
            Self::Refused { numbers, .. } => {
                within(numbers.len(), COMMANDS_MAX, "refusals at once")
            }
            Self::Fetch { ids } => within(ids.len(), FETCH_MAX, "ids to fetch"),
            Self::List { pieces, .. } => within(pieces.len(), PAGES_MAX, "pieces of a state"),
            Self::Chunk { bytes, .. } => within(bytes.len(), CHUNK, "bytes of a chunk"),
            Self::Checkpoint(said) => {
                within(said.position.memo.len(), MEMO_BYTES_MAX, "bytes of a memo")
            }
            _ => Ok(()),
        }
    }

    /// The queue of the link.
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Request(_)
            | Self::Replies(_)
            | Self::Statement(_)
            | Self::Body(_)
            | Self::List { .. }
            | Self::Chunk { .. } => Lane::Bulk,
            Self::Refused { .. }
            | Self::EraRequest
            | Self::Era { .. }
            | Self::Ack { .. }
            | Self::Fetch { .. }
            | Self::Checkpoint(_)
            | Self::StateRequest
            | Self::ListRequest { .. }
            | Self::ChunkRequest { .. } => Lane::Control,
        }
    }
}

fn within(len: usize, max: usize, what: &str) -> Result<(), Fault> {
    if len <= max { Ok(()) } else { Err(Fault::Improper(format!("{len} {what}"))) }
}
