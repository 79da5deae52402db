//! What a line needs of a transport: packets in order, both ways.

use std::{collections::BTreeSet, io, net::IpAddr, time::Duration};

use maftia_core::seat::Owner;

use super::{
    handshake::Refusal,
    packet::{BadPacket, Packet},
    parcel::BadParcel,
    session::Lie,
};

/// The half of a connection that packets come out of.
pub(super) trait Reader: 'static {
    /// The next packet, if its content has at most `limit` bytes.
    async fn read(&mut self, limit: usize) -> Result<Packet, End>;
}

/// The half of a connection that packets go into.
pub(super) trait Writer: 'static {
    /// Writes all packets, leaving none, and pushes them out.
    async fn write(&mut self, packets: &mut Vec<Packet>) -> Result<(), End>;
}

/// A way to reach other owners, and to be reached.
pub(super) trait Transport: 'static {
    type Reader: Reader;
    type Writer: Writer;

    /// One who reaches for us, before anything was done for it.
    type Caller: 'static;

    /// The longest wait between two tries to reach the same owner: a trade between what trying
    /// costs, and how soon one who is back is found.
    const BACKOFF_MAX: Duration;

    /// Whether answering a caller takes as much computing as a handshake, for which its host pays.
    const COSTLY: bool;

    /// Reaches for another owner.
    async fn dial(&self, to: Owner) -> Result<(Self::Reader, Self::Writer), End>;

    /// The hosts where those are at home whom the configuration names.
    async fn homes(&self) -> BTreeSet<IpAddr>;

    /// The next one who reaches for us, and the place that it comes from. An error is passing.
    async fn accept(&self) -> io::Result<(Self::Caller, Place)>;

    /// Makes a connection with one who reached for us.
    async fn answer(&self, caller: Self::Caller) -> Result<Called<Self>, End>;
}

/// A connection with one who reached for us.
pub(super) struct Called<T: Transport + ?Sized> {
    pub(super) reader: T::Reader,
    pub(super) writer: T::Writer,
    /// Who it is, as far as the transport has found out.
    pub(super) who: Option<Owner>,
}

/// Where a connection comes from, to bound how many handshakes one place may keep open. It is no
/// identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// This process.
    Here,
    /// A host.
    Host(IpAddr),
}

/// Why a line ended. The session outlives it.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// It brought bytes that are no packet of the peer.
    #[error("the connection brought a bad packet: {0}")]
    Packet(String),
    /// The peer sent what no owner may send.
    #[error("the peer sent a bad frame: {0}")]
    Parcel(#[from] BadParcel),
    /// The peer claims what cannot be.
    #[error("the peer lies: it {0}")]
    Lie(#[from] Lie),
    /// There was no agreement on who is there.
    #[error("the handshake failed: the other side {0}")]
    Refused(#[from] Refusal),
    /// We were refused.
    #[error("the other side refused the handshake: this side {0}")]
    RefusedUs(Refusal),
    /// A transport that checks keys itself did not find the right one.
    #[error("the handshake failed: {0}")]
    Keys(String),
    /// Nothing came for too long.
    #[error("nothing came for too long")]
    Silent,
    /// The peer made a newer connection.
    #[error("the peer made a newer connection")]
    Replaced,
    /// The peer was reached by somebody else with our key, whom it serves from now on.
    #[error("another process with the same key took the line")]
    Taken,
    /// The peer left in order.
    #[error("the peer left")]
    Left,
    /// This side closed it.
    #[error("this side closed it")]
    Closed,
}

impl End {
    /// Whether somebody did what no correct owner does, or a wire what no sound wire does: worth a
    /// line in the log.
    pub const fn is_wrong(&self) -> bool {
        match self {
            Self::Packet(_)
            | Self::Parcel(_)
            | Self::Lie(_)
            | Self::Refused(_)
            | Self::RefusedUs(_)
            | Self::Keys(_)
            | Self::Taken => true,
            Self::Broken(_) | Self::Silent | Self::Replaced | Self::Left | Self::Closed => false,
        }
    }
}

impl From<BadPacket> for End {
    fn from(bad: BadPacket) -> Self {
        Self::Packet(bad.to_string())
    }
}

/// Refuses content that is not allowed yet.
pub(super) fn allowed(packet: &super::packet::Head, limit: usize) -> Result<(), End> {
    let length = packet.length;
    if length > limit { Err(BadPacket::TooLong { length, max: limit }.into()) } else { Ok(()) }
}
