//! Which transport an owner uses.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use maftia_core::{crypto::P256Identity, seat::Owner};

use super::{
    ListenError, Passport,
    memory::{Hub, Port},
    quic::Quic,
    tcp::Tcp,
};

/// How an owner reaches its peers. All of one network use the same.
#[derive(Clone, Debug)]
pub enum Network {
    /// Inside this process.
    Memory(Hub),
    /// Over TCP.
    Tcp(Sockets),
    /// Over QUIC, where each end shows the key of this identity.
    Quic(Sockets, Arc<P256Identity>),
}

/// Where owners listen.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    /// Where this one does; `None` for a client, who only dials.
    pub listen: Option<SocketAddr>,
    /// Where the others do, as `host:port`.
    pub addresses: BTreeMap<Owner, String>,
}

/// A network whose sockets are open, for [`Links::open`](super::Links::open).
#[derive(Debug)]
pub enum Bound {
    /// A place in this process.
    Memory(Port),
    /// A TCP socket.
    Tcp(Tcp),
    /// UDP sockets.
    Quic(Quic),
}

impl Network {
    /// Opens the sockets of the owner of this passport. Needs a tokio runtime.
    pub async fn bind(self, passport: &Passport) -> Result<Bound, ListenError> {
        Ok(match self {
            Self::Memory(hub) => Bound::Memory(hub.port(passport.me)),
            Self::Tcp(Sockets { listen, addresses }) => {
                Bound::Tcp(Tcp::bind(listen, addresses).await?)
            }
            Self::Quic(Sockets { listen, addresses }, identity) => {
                Bound::Quic(Quic::bind(listen, addresses, identity, passport)?)
            }
        })
    }
}
