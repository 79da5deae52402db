//! Links over TCP: one connection a pair, which the owner with the smaller name dials.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use maftia_core::seat::Owner;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    packet::{HEAD, Head, Kind, Packet},
    parcel::Parcel,
    wire::{End, Place, Reader, Transport, Writer, allowed},
};

/// Bytes that one system call moves: above 64 KiB larger ones gain little.
const BUFFER: usize = 256 << 10;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum TcpError {
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

/// A listener, and the addresses of those whom this owner dials.
#[derive(Debug)]
pub struct Tcp {
    listener: Option<TcpListener>,
    addresses: BTreeMap<Owner, String>,
}

impl Tcp {
    /// Listens at `address`; `None` for clients, who only dial. The addresses are `host:port` and are
    /// looked up at every try.
    pub async fn bind(
        address: Option<SocketAddr>,
        addresses: BTreeMap<Owner, String>,
    ) -> Result<Self, TcpError> {
        let listener = match address {
            None => None,
            Some(address) => match TcpListener::bind(address).await {
                Ok(listener) => Some(listener),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(TcpError::InUse(address));
                }
                Err(error) => return Err(TcpError::Listen { address, error }),
            },
        };
        Ok(Self { listener, addresses })
    }

    /// Where it listens, which tells the port that was found for port 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Everybody with an address.
    pub(super) fn names(&self) -> Vec<Owner> {
        self.addresses.keys().copied().collect()
    }
}

impl Transport for Tcp {
    type Reader = BufReader<OwnedReadHalf>;
    type Writer = BufWriter<OwnedWriteHalf>;

    const BACKOFF_MAX: Duration = Duration::from_secs(1);

    async fn dial(&self, to: Owner) -> io::Result<(Self::Reader, Self::Writer)> {
        let address = self.addresses.get(&to).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let stream = match address.parse::<SocketAddr>() {
            Ok(address) => TcpStream::connect(address).await?,
            Err(_) => TcpStream::connect(&*resolve(address.clone()).await?).await?,
        };
        halves(stream)
    }

    async fn homes(&self) -> BTreeSet<IpAddr> {
        let mut homes = BTreeSet::new();
        for address in self.addresses.values() {
            // Who cannot be found now cannot come either; the next look may find it.
            let found = match address.parse() {
                Ok(address) => vec![address],
                Err(_) => resolve(address.clone()).await.unwrap_or_default(),
            };
            homes.extend(found.iter().map(|found: &SocketAddr| found.ip().to_canonical()));
        }
        homes
    }

    async fn accept(&self) -> io::Result<(Self::Reader, Self::Writer, Place)> {
        let Some(listener) = &self.listener else { return std::future::pending().await };
        let (stream, from) = listener.accept().await?;
        let (reader, writer) = halves(stream)?;
        Ok((reader, writer, Place::Host(from.ip().to_canonical())))
    }
}

/// Looks a name up without stopping everybody else.
async fn resolve(name: String) -> io::Result<Vec<SocketAddr>> {
    let lookup = tokio::task::spawn_blocking(move || name.to_socket_addrs());
    Ok(lookup.await.map_err(io::Error::other)??.collect())
}

fn halves(stream: TcpStream) -> io::Result<(BufReader<OwnedReadHalf>, BufWriter<OwnedWriteHalf>)> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok((BufReader::with_capacity(BUFFER, reader), BufWriter::with_capacity(BUFFER, writer)))
}

impl Reader for BufReader<OwnedReadHalf> {
    async fn read(&mut self, limit: usize) -> Result<Packet, End> {
        let mut head = [0; HEAD];
        self.read_exact(&mut head).await?;
        let head = Head::read(&head)?;
        allowed(&head, limit)?;
        let content = content(self, head.length).await?;
        let (address, body) = match head.kind {
            Kind::Frame(_) => Parcel::part(content)?,
            _ => (Bytes::new(), content),
        };
        Ok(Packet { head, address, body })
    }
}

/// Reads so many bytes into a buffer of their own: a frame that is kept keeps no other alive.
async fn content(reader: &mut BufReader<OwnedReadHalf>, length: usize) -> io::Result<Bytes> {
    if length == 0 {
        return Ok(Bytes::new());
    }
    let mut bytes = BytesMut::with_capacity(length);
    let mut rest = reader.take(length as u64);
    while bytes.len() < length {
        if rest.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes.freeze())
}

impl Writer for BufWriter<OwnedWriteHalf> {
    async fn write(&mut self, packets: &mut Vec<Packet>) -> Result<(), End> {
        for packet in packets.drain(..) {
            self.write_all(&packet.head.write()).await?;
            self.write_all(&packet.address).await?;
            self.write_all(&packet.body).await?;
        }
        Ok(self.flush().await?)
    }
}
