//! Links over TCP: one connection a pair, which the owner with the smaller name dials.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use maftia_core::seat::Owner;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    book::{Book, ListenError},
    packet::{HEAD, Head, Kind, Packet},
    parcel::Parcel,
    wire::{Called, End, Place, Reader, Transport, Writer, allowed},
};

/// Bytes that one system call moves: above 64 KiB larger ones gain little.
pub(super) const BUFFER: usize = 256 << 10;

/// A listener, and the addresses of those whom this owner dials.
#[derive(Debug)]
pub struct Tcp {
    listener: Option<TcpListener>,
    book: Book,
}

impl Tcp {
    /// Listens at `address`; `None` for clients, who only dial. The addresses are `host:port` and are
    /// looked up at every try.
    pub async fn bind(
        address: Option<SocketAddr>,
        addresses: BTreeMap<Owner, String>,
    ) -> Result<Self, ListenError> {
        let listener = match address {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address).await;
                Some(listener.map_err(|error| ListenError::new(address, error))?)
            }
        };
        Ok(Self { listener, book: Book::new(addresses) })
    }

    /// Where it listens, which tells the port that was found for port 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Everybody with an address.
    pub(super) fn names(&self) -> Vec<Owner> {
        self.book.names()
    }
}

impl Transport for Tcp {
    type Reader = BufReader<OwnedReadHalf>;
    type Writer = BufWriter<OwnedWriteHalf>;
    type Caller = TcpStream;

    const BACKOFF_MAX: Duration = Duration::from_secs(1);
    const COSTLY: bool = false;

    async fn dial(&self, to: Owner) -> Result<(Self::Reader, Self::Writer), End> {
        let addresses = self.book.find(to).await?;
        Ok(halves(TcpStream::connect(&*addresses).await?)?)
    }

    async fn homes(&self) -> BTreeSet<IpAddr> {
        self.book.homes().await
    }

    async fn accept(&self) -> io::Result<(TcpStream, Place)> {
        let Some(listener) = &self.listener else { return std::future::pending().await };
        let (stream, from) = listener.accept().await?;
        Ok((stream, Place::Host(from.ip().to_canonical())))
    }

    async fn answer(&self, caller: TcpStream) -> Result<Called<Self>, End> {
        let (reader, writer) = halves(caller)?;
        Ok(Called { reader, writer, who: None })
    }
}

fn halves(stream: TcpStream) -> io::Result<(BufReader<OwnedReadHalf>, BufWriter<OwnedWriteHalf>)> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok((BufReader::with_capacity(BUFFER, reader), BufWriter::with_capacity(BUFFER, writer)))
}

impl<R: AsyncRead + Unpin + 'static> Reader for BufReader<R> {
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
async fn content(reader: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Bytes> {
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

impl<W: AsyncWrite + Unpin + 'static> Writer for BufWriter<W> {
    async fn write(&mut self, packets: &mut Vec<Packet>) -> Result<(), End> {
        for packet in packets.drain(..) {
            self.write_all(&packet.head.write()).await?;
            self.write_all(&packet.address).await?;
            self.write_all(&packet.body).await?;
        }
        Ok(self.flush().await?)
    }
}
