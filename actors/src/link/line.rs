//! One connection in use: reads and writes at the same time, until something ends it.

use std::{rc::Rc, time::Duration};

use maftia_core::effects::Lane;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    Arrival, End, What,
    handshake::Keys,
    links::{Inner, Peer},
    packet::{BadPacket, Kind, Packet, Seals},
    parcel::{PARCEL_MAX, Parcel},
    session::{Outgoing, WORD},
    wire::{Reader, Writer},
};

/// Bytes that are written at once: what keeps a socket busy, and the most bulk that a control frame
/// waits behind, apart from what the socket holds.
const BURST: usize = 256 << 10;

/// Acknowledgements that are worth a packet of their own at once.
const ACKS: u64 = 64;

/// How long fewer of them wait for a packet to travel with. They only free memory.
const ACK_DELAY: Duration = Duration::from_millis(5);

/// How often an idle owner says that it is still there.
const ALIVE: Duration = Duration::from_millis(if cfg!(test) { 1_000 } else { 5_000 });

/// How long nothing may come before the line is given up: several times [`ALIVE`].
pub(super) const SILENCE: Duration = ALIVE.saturating_mul(4);

/// Packets that one line handles before others have their turn.
const TURN: usize = 256;

/// How long it may take to tell somebody that its line was taken: it may be gone.
const FAREWELL: Duration = Duration::from_secs(1);

/// Uses a connection until it ends, or a newer one takes its place. The session of the peer has begun
/// anew before.
pub(super) async fn run(
    inner: &Inner,
    peer: &Peer,
    keys: Keys,
    reader: impl Reader,
    mut writer: impl Writer,
    replaced: &CancellationToken,
) -> End {
    let Keys { incoming, mut outgoing } = keys;
    let end = tokio::select! {
        // First, so that a replaced line never touches the session of the new one.
        biased;
        () = replaced.cancelled() => Ok(End::Replaced),
        () = inner.lab.until(true) => Ok(End::Closed),
        end = listen(inner, peer, incoming, reader) => end,
        end = talk(inner, peer, &mut outgoing, &mut writer) => end,
    };
    match end {
        Ok(End::Replaced) if inner.closing.is_cancelled() => End::Closed,
        Ok(End::Replaced) => {
            // Half a packet may stand before this one; then the other end sees a bad one, and is told
            // by others.
            let mut farewell = vec![outgoing.note(Kind::Taken, 0)];
            let _ = timeout(FAREWELL, writer.write(&mut farewell)).await;
            End::Replaced
        }
        end => end.unwrap_or_else(|end| end),
    }
}

/// Reads until the line ends.
async fn listen(
    inner: &Inner,
    peer: &Peer,
    mut seals: Seals,
    mut reader: impl Reader,
) -> Result<End, End> {
    for count in 1_usize.. {
        let packet = timeout(SILENCE, reader.read(PARCEL_MAX)).await.map_err(|_| End::Silent)??;
        let last = match packet.head.kind {
            Kind::Bye => Some(End::Left),
            Kind::Taken => Some(End::Taken),
            _ => None,
        };
        if let Some(end) = last {
            seals.check(&packet.head, None)?;
            return Ok(end);
        }
        if let Some(arrival) = open(peer, &mut seals, packet)? {
            deliver(inner, peer, arrival).await?;
        }
        if count.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
    }
    unreachable!("2^64 packets are out of reach")
}

/// Checks a packet and lets the session take it. What is for the local side comes back.
fn open(peer: &Peer, seals: &mut Seals, packet: Packet) -> Result<Option<Arrival>, End> {
    let Packet { head, address, body } = packet;
    let number = head.number;
    let Kind::Frame(lane) = head.kind else {
        seals.check(&head, None)?;
        return note(peer, head.kind, number);
    };
    let parcel = Parcel::of(address, body);
    seals.check(&head, Some(&parcel.digest))?;
    if !peer.session.borrow().expects(lane, number)? {
        return Ok(None);
    }
    let instance = peer.names.instance(&parcel.address)?;
    let what = What::Frame { instance, body: parcel.body, digest: parcel.digest };
    Ok(Some(Arrival { from: peer.owner, lane, number, what }))
}

/// Takes a packet that is no frame.
fn note(peer: &Peer, kind: Kind, number: u64) -> Result<Option<Arrival>, End> {
    let mut session = peer.session.borrow_mut();
    match kind {
        Kind::Resume(lane) => {
            session.resume(lane, number)?;
            peer.wake.notify_one();
        }
        Kind::Acked(lane) => session.acked(lane, number)?,
        Kind::Gone(lane) if session.misses(lane, number)? => {
            return Ok(Some(Arrival { from: peer.owner, lane, number, what: What::Missed }));
        }
        Kind::Gone(_) | Kind::Alive => {}
        Kind::Handshake | Kind::Frame(_) | Kind::Bye | Kind::Taken => {
            return Err(BadPacket::Kind(kind.code()).into());
        }
    }
    Ok(None)
}

/// Hands an arrival up; while there is no room, this peer is not read.
async fn deliver(inner: &Inner, peer: &Peer, mut arrival: Arrival) -> Result<(), End> {
    let (lane, number) = (arrival.lane, arrival.number);
    let receive = inner.receive().ok_or(End::Closed)?;
    while let Err(back) = receive.take(arrival) {
        arrival = *back;
        peer.room.notified().await;
    }
    peer.session.borrow_mut().took(lane, number);
    Ok(())
}

/// Writes until the line ends.
async fn talk(
    inner: &Inner,
    peer: &Peer,
    seals: &mut Seals,
    writer: &mut impl Writer,
) -> Result<End, End> {
    let mut packets: Vec<Packet> = [Lane::Control, Lane::Bulk]
        .map(|lane| seals.note(Kind::Resume(lane), peer.session.borrow().taken(lane)))
        .into();
    loop {
        if !inner.lab.late().is_zero() {
            tokio::time::sleep(inner.lab.late()).await;
        }
        writer.write(&mut packets).await?;
        let acks = || if inner.is_leaving() { 1 } else { ACKS };
        while !fill(peer, seals, &mut packets, acks()) {
            if inner.is_leaving() && peer.session.borrow().is_drained() {
                packets.push(seals.note(Kind::Bye, 0));
                writer.write(&mut packets).await?;
                // The other end closes when it has read this: whoever closes first may tear down what
                // is still on its way.
                return std::future::pending().await;
            }
            pause(peer, seals, &mut packets).await;
            if !packets.is_empty() {
                break;
            }
        }
    }
}

/// Waits for something to write; after some time an acknowledgement or a sign of life is that.
async fn pause(peer: &Peer, seals: &mut Seals, packets: &mut Vec<Packet>) {
    let waiting = peer.session.borrow().unacknowledged() > 0;
    let time = if waiting { ACK_DELAY } else { ALIVE };
    if timeout(time, peer.wake.notified()).await.is_err() && !fill(peer, seals, packets, 1) {
        packets.push(seals.note(Kind::Alive, 0));
    }
}

/// Seals the next burst: control, then bulk, and the acknowledgements if they are worth it or have
/// company. Whether there is anything.
fn fill(peer: &Peer, seals: &mut Seals, packets: &mut Vec<Packet>, acks: u64) -> bool {
    let mut session = peer.session.borrow_mut();
    let mut bytes = 0;
    for lane in [Lane::Control, Lane::Bulk] {
        while bytes < BURST
            && let Some(outgoing) = session.next(lane)
        {
            packets.push(match outgoing {
                Outgoing::Gone(number) => seals.note(Kind::Gone(lane), number),
                Outgoing::Frame(number, parcel) => seals.frame(lane, number, &parcel),
                Outgoing::Word(parcel) => seals.frame(lane, WORD, &parcel),
            });
            bytes += packets.last().map_or(0, Packet::len);
        }
    }
    if !packets.is_empty() || session.unacknowledged() >= acks {
        for lane in [Lane::Control, Lane::Bulk] {
            let number = session.acknowledge(lane);
            packets.extend(number.map(|number| seals.note(Kind::Acked(lane), number)));
        }
    }
    !packets.is_empty()
}

impl Peer {
    /// Something is durable here: the writer looks at it soon, or at once if it is much.
    pub(super) fn durable(self: &Rc<Self>, lane: Lane, number: u64) {
        let mut session = self.session.borrow_mut();
        let before = session.unacknowledged();
        session.durable(lane, number);
        if before == 0 || session.unacknowledged() >= ACKS {
            self.wake.notify_one();
        }
    }
}
