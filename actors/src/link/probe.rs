//! The places where bytes of strangers are read first, for fuzzing: nothing else calls them.

use bytes::Bytes;
use maftia_core::{effects::Lane, path::InstanceId};

use super::{
    Passport,
    handshake::{Dialing, Listening},
    packet::{HEAD, Head, Kind},
    parcel::Parcel,
};

/// A frame as a connection brings it, under a seal of zeros.
pub fn sample(instance: &InstanceId, body: &[u8]) -> Vec<u8> {
    let parcel = Parcel::new(instance, Bytes::copy_from_slice(body)).expect("a short one");
    let (kind, length) = (Kind::Frame(Lane::Bulk), parcel.len());
    let head = Head { kind, number: 1, length, seal: Default::default() };
    [&head.write()[..], &parcel.address, &parcel.body].concat()
}

/// Reads what a connection brings: a packet and its content. Whether it is a frame for somebody.
///
/// # Panics
/// When a packet or an address that was read does not mean the same when it is written again.
pub fn packet(bytes: &[u8]) -> bool {
    let Some((head, content)) = bytes.split_first_chunk::<HEAD>() else { return false };
    let Ok(read) = Head::read(head) else { return false };
    assert_eq!(read.write(), *head, "a head has one form");
    if !matches!(read.kind, Kind::Frame(_)) || read.length != content.len() {
        return false;
    }
    let Ok((address, body)) = Parcel::part(Bytes::copy_from_slice(content)) else { return false };
    let parcel = Parcel::of(address, body);
    let Ok(instance) = parcel.instance() else { return false };
    let again = Parcel::new(&instance, parcel.body.clone()).expect("it is no longer than it was");
    assert_eq!(again.instance().as_ref(), Ok(&instance), "an address means one instance");
    true
}

/// What came of a handshake on whose way somebody sat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shaken {
    /// Whether anything was changed.
    pub changed: bool,
    /// Whether both sides hold the line for good.
    pub stands: bool,
}

/// Runs a handshake between two owners. One of the four messages, counted from 0, is bent on its way:
/// the patch is laid over it, what goes beyond it is appended.
pub fn handshake(dialer: &Passport, listener: &Passport, which: usize, patch: &[u8]) -> Shaken {
    let mut way = Way { which, patch, count: 0, changed: false };
    let stands = shake(dialer, listener, &mut way).is_some();
    Shaken { changed: way.changed, stands }
}

fn shake(dialer: &Passport, listener: &Passport, way: &mut Way<'_>) -> Option<()> {
    let (dialing, hello) = Dialing::start(dialer, listener.me);
    let hello = way.carry(hello);
    Listening::judge(listener, &hello).ok()?;
    let (listening, welcome) = Listening::start(listener, &hello).ok()?;
    let (proving, proof) = dialing.answered(dialer, &way.carry(welcome)).ok()?;
    let (owner, _, proof) = listening.proved(listener, &way.carry(proof)).ok()?;
    proving.proved(dialer, &way.carry(proof)).ok()?;
    (owner == dialer.me).then_some(())
}

/// Somebody on the way.
struct Way<'a> {
    which: usize,
    patch: &'a [u8],
    count: usize,
    changed: bool,
}

impl Way<'_> {
    fn carry(&mut self, message: Bytes) -> Bytes {
        self.count += 1;
        if self.count != self.which + 1 {
            return message;
        }
        let mut bent = message.to_vec();
        bent.iter_mut().zip(self.patch).for_each(|(byte, patch)| *byte ^= patch);
        bent.extend_from_slice(self.patch.get(message.len()..).unwrap_or_default());
        self.changed = bent != message;
        bent.into()
    }
}
