//! Links over QUIC: one connection a pair with one stream in it, which the owner with the smaller
//! name dials.
//!
//! What QUIC gives beyond TCP: nobody outside can reset a connection or hold it up with forged
//! acknowledgements, because every datagram is sealed; and whoever listens on the wire reads nothing.
//! Both ends show their dealt keys in the handshake of TLS. Everything else is as over TCP:
//! the handshake of links, its seals, and the session, which loses nothing when a connection is lost
//! all the same.
//!
//! | bound | so that |
//! |---|---|
//! | a host answers from its address before anything is kept for it | forged addresses cost a hash |
//! | a handshake is paid for like one of links, in the hall | nobody makes us compute all day |
//! | `INCOMING_MAX` callers with `INCOMING_BYTES` each wait for the hall | a flood fills no memory |
//! | one stream, `WINDOW` bytes each way | a peer that is not read, or does not read, costs that |
//! | datagrams as Ethernet has them, no others | none is taken apart on the way, or makes us hold more |

mod tls;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use maftia_core::{crypto::P256Identity, seat::Owner};
use quinn::{
    Connection, ConnectionError, Endpoint, EndpointConfig, Incoming, ReadError, RecvStream,
    SendStream, ServerConfig, TokioRuntime, TransportConfig, TransportErrorCode,
    ValidationTokenConfig, VarInt, WriteError,
};
use tls::{Keys, SERVER};
use tokio::{
    io::{BufReader, BufWriter},
    runtime::Handle,
    time::timeout,
};

use super::{
    Passport,
    book::{Book, ListenError},
    line::SILENCE,
    packet::Packet,
    tcp::BUFFER,
    wire::{Called, End, Place, Reader, Transport, Writer},
};

/// Callers who have shown that they are where they say, and wait to be let in: as many as the hall
/// has seats.
const INCOMING_MAX: usize = 512;

/// Bytes that are kept of each of them: a first flight has two datagrams.
const INCOMING_BYTES: u64 = 8 << 10;

/// Bytes under way in one direction of a line: several bursts, and 20 MB a second over 0.1 s.
const WINDOW: u32 = 2 << 20;

/// The round trip that is assumed before it is known: a first datagram that was lost is said again
/// after three times as long, well within the time of a handshake.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// How long what was written last may take to arrive, after the line was given up.
const LINGER: Duration = Duration::from_secs(1);

/// The only version of QUIC, without its drafts.
const VERSION: u32 = 1;

/// A listener, a socket to dial from, and the addresses and keys of those whom this owner dials.
#[derive(Debug)]
pub struct Quic {
    listener: Option<Endpoint>,
    dialer: Endpoint,
    keys: Keys,
    book: Book,
}

impl Quic {
    /// Listens at `address`; `None` for clients, who only dial. The addresses are `host:port` and are
    /// looked up at every try. The identity is the one of the passport. Needs a tokio runtime.
    pub fn bind(
        address: Option<SocketAddr>,
        addresses: BTreeMap<Owner, String>,
        identity: Arc<P256Identity>,
        passport: &Passport,
    ) -> Result<Self, ListenError> {
        let keys = Keys::new(identity, &passport.known, passport.guests.is_some());
        let listen = |address| {
            let listener = endpoint(Some(listening(&keys)), address);
            listener.map_err(|error| ListenError::new(address, error))
        };
        let listener = address.map(listen).transpose()?;
        let any = [IpAddr::from(Ipv6Addr::UNSPECIFIED), Ipv4Addr::UNSPECIFIED.into()];
        let [both, old] = any.map(|any| SocketAddr::new(any, 0));
        // Without IPv6 on this machine, the old one has to do.
        let dialer = endpoint(None, both).or_else(|_| endpoint(None, old));
        let dialer = dialer.map_err(|error| ListenError::new(old, error))?;
        Ok(Self { listener, dialer, keys, book: Book::new(addresses) })
    }

    /// Where it listens, which tells the port that was found for port 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Everybody with an address.
    pub(super) fn names(&self) -> Vec<Owner> {
        self.book.names()
    }

    /// A connection to an owner at one of its addresses.
    pub(super) async fn connect(&self, to: Owner, at: SocketAddr) -> Result<Connection, End> {
        let mut config = quinn::ClientConfig::new(self.keys.dialing(to)?);
        config.version(VERSION).transport_config(Arc::new(transport(0)));
        let connecting = self.dialer.connect_with(config, at, SERVER);
        connecting.map_err(io::Error::other)?.await.map_err(lost)
    }

    async fn reach(&self, to: Owner, at: SocketAddr) -> Result<(Pipe, Pour), End> {
        let (pour, pipe) = self.connect(to, at).await?.open_bi().await.map_err(lost)?;
        Ok((Pipe::new(pipe), Pour::new(pour)))
    }
}

/// A socket that listens, or only dials.
fn endpoint(listening: Option<ServerConfig>, address: SocketAddr) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(address)?;
    let mut config = EndpointConfig::default();
    config.supported_versions(vec![VERSION]);
    Endpoint::new(config, listening, socket, Arc::new(TokioRuntime))
}

fn listening(keys: &Keys) -> ServerConfig {
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    let mut config = ServerConfig::with_crypto(keys.listening());
    config
        .transport_config(Arc::new(transport(1)))
        .validation_token_config(tokens)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES * INCOMING_MAX as u64)
        // A peer whose address changes dials again, which loses nothing.
        .migration(false);
    config
}

/// What a connection may use, if its other end may open so many streams.
fn transport(streams: u32) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(WINDOW.into())
        .initial_rtt(ROUND_TRIP)
        .max_idle_timeout(Some(SILENCE.try_into().expect("some seconds are no long time")));
    config
}

impl Transport for Quic {
    type Reader = Pipe;
    type Writer = Pour;
    type Caller = Incoming;

    const BACKOFF_MAX: Duration = Duration::from_secs(1);
    const COSTLY: bool = true;

    async fn dial(&self, to: Owner) -> Result<(Pipe, Pour), End> {
        let mut end = End::Broken(io::ErrorKind::AddrNotAvailable.into());
        for address in self.book.find(to).await? {
            match self.reach(to, address).await {
                Ok(ends) => return Ok(ends),
                Err(failed) => end = failed,
            }
        }
        Err(end)
    }

    async fn homes(&self) -> BTreeSet<IpAddr> {
        self.book.homes().await
    }

    async fn accept(&self) -> io::Result<(Incoming, Place)> {
        let Some(listener) = &self.listener else { return std::future::pending().await };
        loop {
            let caller = listener.accept().await.ok_or(io::ErrorKind::NotConnected)?;
            if caller.remote_address_validated() {
                let place = Place::Host(caller.remote_address().ip().to_canonical());
                return Ok((caller, place));
            }
            // Who is not validated can always be asked for it.
            let _ = caller.retry();
        }
    }

    async fn answer(&self, caller: Incoming) -> Result<Called<Self>, End> {
        let connection = caller.accept().map_err(lost)?.await.map_err(lost)?;
        let who = self.keys.whose(connection.peer_identity());
        let (pour, pipe) = connection.accept_bi().await.map_err(lost)?;
        Ok(Called { reader: Pipe::new(pipe), writer: Pour::new(pour), who })
    }
}

/// The end that packets come out of.
#[derive(Debug)]
pub(super) struct Pipe(BufReader<RecvStream>);

impl Pipe {
    fn new(stream: RecvStream) -> Self {
        Self(BufReader::with_capacity(BUFFER, stream))
    }
}

impl Reader for Pipe {
    async fn read(&mut self, limit: usize) -> Result<Packet, End> {
        self.0.read(limit).await.map_err(explained)
    }
}

/// The end that packets go into.
#[derive(Debug)]
pub(super) struct Pour(BufWriter<SendStream>);

impl Pour {
    fn new(stream: SendStream) -> Self {
        Self(BufWriter::with_capacity(BUFFER, stream))
    }
}

impl Writer for Pour {
    async fn write(&mut self, packets: &mut Vec<Packet>) -> Result<(), End> {
        self.0.write(packets).await.map_err(explained)
    }
}

impl Drop for Pour {
    /// A connection ends with its last handle and takes along what is under way, such as why somebody
    /// was turned away. So a handle stays until that has arrived, but not for long.
    fn drop(&mut self) {
        let stream = self.0.get_mut();
        if let (Ok(()), Ok(runtime)) = (stream.finish(), Handle::try_current()) {
            let arrived = stream.stopped();
            runtime.spawn(async move { drop(timeout(LINGER, arrived).await) });
        }
    }
}

/// Why a connection was lost. What the other side says about it is not repeated: a log line has no
/// text of others.
fn lost(error: ConnectionError) -> End {
    let alert = |code: TransportErrorCode| match u64::from(code) {
        code @ 0x100..0x200 => Some(code - 0x100),
        _ => None,
    };
    let code = match &error {
        ConnectionError::TransportError(error) if alert(error.code).is_some() => {
            let why = error.reason.strip_prefix("unexpected error: ");
            return End::Keys(why.unwrap_or(&error.reason).to_owned());
        }
        ConnectionError::ConnectionClosed(closed) => match alert(closed.error_code) {
            Some(alert) => return End::Keys(format!("{REFUSED} (TLS alert {alert})")),
            None => u64::from(closed.error_code),
        },
        ConnectionError::ApplicationClosed(closed) => closed.error_code.into_inner(),
        _ => return End::Broken(error.into()),
    };
    let text = format!("the other side closed it with code {code}");
    End::Broken(io::Error::new(io::ErrorKind::ConnectionAborted, text))
}

/// What is said to one whose key was refused. Whose key it expected the other side only tells its log.
const REFUSED: &str = "the other side does not accept this side's key; its log says why";

/// The same for what a stream says.
fn explained(end: End) -> End {
    let End::Broken(error) = &end else { return end };
    let inner = error.get_ref();
    let read = inner.and_then(|inner| inner.downcast_ref::<ReadError>());
    let written = inner.and_then(|inner| inner.downcast_ref::<WriteError>());
    match (read, written) {
        (Some(ReadError::ConnectionLost(error)), _)
        | (_, Some(WriteError::ConnectionLost(error))) => lost(error.clone()),
        _ => end,
    }
}
