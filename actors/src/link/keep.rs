//! Makes lines and makes them again: dials, accepts, and lets nobody in who does not prove a name.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use maftia_core::seat::Owner;
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use super::{
    End, Refusal,
    hall::{Hall, Ticket},
    handshake::{Dialing, Keys, Listening, refused},
    links::Inner,
    name,
    packet::{BadPacket, HANDSHAKE_MAX, Kind, Packet},
    wire::{Called, Reader, Transport, Writer},
};

/// How long a handshake may take.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(3);

/// How long to wait before dialing again, at first. It doubles up to the bound of the transport.
const BACKOFF: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 20 });

/// How often the hosts of the configuration are looked up, who have seats of their own.
const HOMES: Duration = Duration::from_mins(1);

/// How long a peer is left alone that serves another process under our name: longer than it takes
/// enough of its group to say the same, so that we stop, and short enough to outlast a lie.
const TAKEN: Duration = Duration::from_secs(30);

/// A line that stood this long was a good one: the next wait is short again.
const GOOD: Duration = Duration::from_secs(1);

/// Starts to dial whom it is ours to dial, and to accept.
pub(super) fn open<T: Transport>(inner: &Rc<Inner>, transport: T, to: Vec<Owner>) {
    let transport = Rc::new(transport);
    let me = inner.passport.me;
    for to in to.into_iter().filter(|to| dials(me, *to)) {
        let (inner, transport) = (Rc::clone(inner), Rc::clone(&transport));
        spawn_local(async move {
            let closing = inner.closing.clone();
            closing.run_until_cancelled(keep(&inner, &*transport, to)).await;
        });
    }
    let inner = Rc::clone(inner);
    spawn_local(async move {
        let closing = inner.closing.clone();
        closing.run_until_cancelled(admit(&inner, &transport)).await;
    });
}

/// Whether it is `me` who dials: clients do, and of two parties the one with the smaller name.
fn dials(me: Owner, to: Owner) -> bool {
    match (me, to) {
        (Owner::Client(_), Owner::Party(..)) => true,
        (Owner::Party(..), Owner::Party(..)) => me < to,
        (_, Owner::Client(_)) => false,
    }
}

/// Dials one owner for ever.
async fn keep<T: Transport>(inner: &Rc<Inner>, transport: &T, to: Owner) {
    let mut wait = BACKOFF;
    // A test breaks a thousand lines.
    let most = if cfg!(test) { 4 * BACKOFF } else { T::BACKOFF_MAX };
    let mut last = String::new();
    loop {
        inner.lab.until(false).await;
        let since = Instant::now();
        let end = match dial(inner, transport, to).await {
            Ok((keys, reader, writer)) => inner.hold(to, keys, reader, writer).await,
            Err(end) => end,
        };
        if inner.is_leaving() {
            return;
        }
        let text = end.to_string();
        if text != last {
            if end.is_wrong() {
                tracing::warn!(me = %name(inner.passport.me), peer = %name(to), "no line: {text}");
            } else {
                tracing::info!(me = %name(inner.passport.me), peer = %name(to), "no line: {text}");
            }
            last = text;
        }
        wait = if since.elapsed() > GOOD { BACKOFF } else { (wait * 2).min(most) };
        let wait = if matches!(end, End::Taken) { TAKEN } else { jittered(wait) };
        sleep(wait).await;
    }
}

/// Between half of the time and all of it, so that those who lost the same peer do not come back
/// in step.
fn jittered(time: Duration) -> Duration {
    let dice = getrandom::u32().unwrap_or(0);
    time / 2 + time / 2 * (dice >> 16) / (1 << 16)
}

/// Reaches for an owner and proves who we are.
async fn dial<T: Transport>(
    inner: &Inner,
    transport: &T,
    to: Owner,
) -> Result<(Keys, T::Reader, T::Writer), End> {
    let shake = async {
        let passport = &inner.passport;
        let (mut reader, mut writer) = transport.dial(to).await?;
        let (dialing, hello) = Dialing::start(passport, to);
        say(&mut writer, hello).await?;
        let answer = hear(&mut reader).await?;
        let (proving, proof) = dialing.answered(passport, &answer)?;
        say(&mut writer, proof).await?;
        let keys = proving.proved(passport, &hear(&mut reader).await?)?;
        Ok((keys, reader, writer))
    };
    timeout(HANDSHAKE, shake).await.map_err(|_| End::Silent)?
}

async fn say(writer: &mut impl Writer, message: bytes::Bytes) -> Result<(), End> {
    writer.write(&mut vec![Packet::handshake(message)]).await
}

async fn hear(reader: &mut impl Reader) -> Result<bytes::Bytes, End> {
    let packet = reader.read(HANDSHAKE_MAX).await?;
    match packet.head.kind {
        Kind::Handshake => Ok(packet.body),
        other => Err(BadPacket::Kind(other.code()).into()),
    }
}

/// Accepts for ever.
async fn admit<T: Transport>(inner: &Rc<Inner>, transport: &Rc<T>) {
    let hall = Hall::new(inner.passport.me);
    let homes = async {
        loop {
            hall.reserve(transport.homes().await);
            sleep(HOMES).await;
        }
    };
    tokio::select! {
        () = homes => {}
        () = accept(inner, transport, &hall) => {}
    }
}

async fn accept<T: Transport>(inner: &Rc<Inner>, transport: &Rc<T>, hall: &Rc<Hall>) {
    loop {
        inner.lab.until(false).await;
        let (caller, place) = match transport.accept().await {
            Ok(call) => call,
            Err(error) => {
                // Out of file descriptors, mostly: others must end before it can go on.
                tracing::warn!(me = %name(inner.passport.me), "cannot accept: {error}");
                sleep(BACKOFF).await;
                continue;
            }
        };
        match hall.enter(place) {
            None => hall.complain(place, "too many handshakes at a time"),
            Some(ticket) => {
                let (inner, transport) = (Rc::clone(inner), Rc::clone(transport));
                spawn_local(async move {
                    let closing = inner.closing.clone();
                    closing.run_until_cancelled(meet(&inner, &*transport, ticket, caller)).await;
                });
            }
        }
    }
}

/// Lets one in who proves who it is, and gives its seat in the hall back.
async fn meet<T: Transport>(inner: &Inner, transport: &T, ticket: Ticket, caller: T::Caller) {
    let proved = tokio::select! {
        proved = timeout(HANDSHAKE, prove(inner, transport, &ticket, caller)) => {
            proved.unwrap_or(Err(End::Silent))
        }
        () = ticket.leave.cancelled() => Err(End::Silent),
    };
    let (owner, keys, ends) = match proved {
        Ok(proved) => proved,
        Err(end) => return ticket.hall.complain(ticket.place, &end.to_string()),
    };
    let (hall, place) = (Rc::clone(&ticket.hall), ticket.place);
    drop(ticket);
    let end = inner.hold(owner, keys, ends.reader, ends.writer).await;
    if end.is_wrong() {
        hall.complain(place, &format!("{}: {end}", name(owner)));
    }
}

async fn prove<T: Transport>(
    inner: &Inner,
    transport: &T,
    ticket: &Ticket,
    caller: T::Caller,
) -> Result<(Owner, Keys, Called<T>), End> {
    let passport = &inner.passport;
    if T::COSTLY {
        sleep(ticket.pay().ok_or(Refusal::Busy)?).await;
    }
    let mut ends = transport.answer(caller).await?;
    let hello = hear(&mut ends.reader).await?;
    let writer = &mut ends.writer;
    match Listening::judge(passport, &hello) {
        Ok(from) if ends.who.is_none_or(|who| who == from) => {}
        Ok(_) => return turn_away(writer, Refusal::Proof).await,
        Err(refusal) => return turn_away(writer, refusal).await,
    }
    let Some(wait) = ticket.spoke() else { return turn_away(writer, Refusal::Busy).await };
    if !wait.is_zero() {
        sleep(wait).await;
    }
    let (listening, answer) = match Listening::start(passport, &hello) {
        Ok(started) => started,
        Err(refusal) => return turn_away(writer, refusal).await,
    };
    say(writer, answer).await?;
    let (owner, keys, proof) = match listening.proved(passport, &hear(&mut ends.reader).await?) {
        Ok(proved) => proved,
        Err(refusal) => return turn_away(writer, refusal).await,
    };
    say(writer, proof).await?;
    Ok((owner, keys, ends))
}

/// Says why, and fails with it.
async fn turn_away<T>(writer: &mut impl Writer, refusal: Refusal) -> Result<T, End> {
    say(writer, refused(&refusal)).await?;
    Err(refusal.into())
}
