//! Where those listen whom an owner dials, and why there is no listener.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
};

use maftia_core::seat::Owner;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {0}: the port is in use. Stop the other process, or give another port"
    )]
    InUse(SocketAddr),
    /// Any other reason.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

impl ListenError {
    pub(super) fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            _ => Self::Listen { address, error },
        }
    }
}

/// Addresses as `host:port`, which are looked up at every try.
#[derive(Debug)]
pub(super) struct Book(BTreeMap<Owner, String>);

impl Book {
    pub(super) const fn new(addresses: BTreeMap<Owner, String>) -> Self {
        Self(addresses)
    }

    /// Everybody with an address.
    pub(super) fn names(&self) -> Vec<Owner> {
        self.0.keys().copied().collect()
    }

    /// Where this owner may be.
    pub(super) async fn find(&self, owner: Owner) -> io::Result<Vec<SocketAddr>> {
        resolve(self.0.get(&owner).ok_or(io::ErrorKind::AddrNotAvailable)?).await
    }

    /// The hosts where they are at home.
    pub(super) async fn homes(&self) -> BTreeSet<IpAddr> {
        let mut homes = BTreeSet::new();
        for address in self.0.values() {
            // Who cannot be found now cannot come either; the next look may find it.
            let found = resolve(address).await.unwrap_or_default();
            homes.extend(found.iter().map(|found| found.ip().to_canonical()));
        }
        homes
    }
}

/// Looks a name up without stopping everybody else.
async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let name = address.to_owned();
    let lookup = tokio::task::spawn_blocking(move || name.to_socket_addrs());
    Ok(lookup.await.map_err(io::Error::other)??.collect())
}
