//! Faults for laboratories: what the links of a corrupted party say instead of what it should.
//!
//! The party itself runs the honest protocol; its links lie. Everything that is said is said under
//! the party's own keys only, so it can do no more than a corrupted machine could.

use std::{collections::VecDeque, fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use maftia_actors::link::{Lab, Liar, Tamper};
use maftia_core::{
    broadcast::consistent,
    crypto::Digest,
    id::PartyId,
    path::{InstanceId, Role},
    replica,
    seat::{Owner, Seat},
    stream::{atomic, batch::Batch, fast},
    wire,
};
use maftia_tss::{request::ResourceReply, resources::Answer};
use serde::{Deserialize, Serialize};

/// How late a delayed party is: longer than a round takes, shorter than anybody's patience.
const LATE: Duration = Duration::from_millis(1_500);

/// How many old frames a replaying party keeps.
const OLD_MAX: usize = 64;

/// A way to be faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// It stops.
    Crash,
    /// It listens and says nothing.
    Mute,
    /// It says everything late.
    Delay,
    /// It tells different things to different parties, where it is the sender.
    Equivocate,
    /// It answers clients with wrong values.
    CorruptReply,
    /// It says things that it made up.
    Forge,
    /// It says old things again, where they do not belong.
    Replay,
    /// It keeps its shares of coins and signatures to itself.
    WithholdShares,
    /// It changes its state behind the back of the protocol.
    CorruptState,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Crash,
        Self::Mute,
        Self::Delay,
        Self::Equivocate,
        Self::CorruptReply,
        Self::Forge,
        Self::Replay,
        Self::WithholdShares,
        Self::CorruptState,
    ];

    /// Its name on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Mute => "mute",
            Self::Delay => "delay",
            Self::Equivocate => "equivocate",
            Self::CorruptReply => "corrupt-reply",
            Self::Forge => "forge",
            Self::Replay => "replay",
            Self::WithholdShares => "withhold-shares",
            Self::CorruptState => "corrupt-state",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no fault with this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault `{0}`")]
pub struct UnknownFault(pub String);

impl FromStr for FaultKind {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownFault(name.chars().take(40).collect()))
    }
}

/// Sets a party's links to a fault. A crash and a corrupted state are not matters of links.
pub fn set(lab: &Lab, kind: FaultKind, seat: Seat) {
    lab.heal();
    match kind {
        FaultKind::Crash | FaultKind::CorruptState => {}
        FaultKind::Delay => lab.delay(LATE),
        FaultKind::Mute => lab.tamper(Some(Box::new(|_, _, _| Tamper::Drop))),
        FaultKind::CorruptReply => lab.tamper(Some(corrupt_reply(seat.me()))),
        FaultKind::WithholdShares => lab.tamper(Some(Box::new(withhold))),
        FaultKind::Forge => lab.tamper(Some(Box::new(forge))),
        FaultKind::Replay => lab.tamper(Some(replay())),
        FaultKind::Equivocate => lab.tamper(Some(equivocate(seat))),
    }
}

/// Wrong values for clients, a different one from each liar: so two of them do not agree by chance.
fn corrupt_reply(me: PartyId) -> Liar {
    Box::new(move |to, instance, body| {
        let Owner::Client(_) = to else { return Tamper::Pass };
        match wire::decode(body) {
            Ok(replica::Message::Replies(mut replies)) if instance.path().is_empty() => {
                replies.iter_mut().for_each(|reply| reply.body = lie(me, &reply.body));
                Tamper::Replace(wire::encode(&replica::Message::Replies(replies)))
            }
            _ => Tamper::Pass,
        }
    })
}

/// A wrong value where there is one, and bytes that mean nothing elsewhere.
fn lie(me: PartyId, body: &[u8]) -> Bytes {
    match wire::decode(body) {
        Ok(ResourceReply::Done(Answer { before, .. })) => {
            let value = (9_990 + me.index()).to_string();
            wire::encode(&ResourceReply::Done(Answer { before, value }))
        }
        _ => body.iter().map(|byte| byte ^ 0x5a ^ me.number() as u8).collect(),
    }
}

/// Neither shares of coins nor of signatures.
fn withhold(_: &Owner, instance: &InstanceId, body: &Bytes) -> Tamper {
    let last = instance.path().last().map(|segment| segment.role);
    let echo = || matches!(wire::decode(body), Ok(consistent::Message::Echo(_)));
    match last {
        Some(Role::Coin) => Tamper::Drop,
        Some(Role::Proposal | Role::Commit) if echo() => Tamper::Drop,
        _ => Tamper::Pass,
    }
}

/// Bytes that no correct party says, to members only: a client would not understand whom it meets.
fn forge(to: &Owner, _: &InstanceId, body: &Bytes) -> Tamper {
    let Owner::Party(..) = to else { return Tamper::Pass };
    let mut forged = body.to_vec();
    if let Some(byte) = forged.first_mut() {
        *byte = 0xc1;
    }
    Tamper::Replace(forged.into())
}

/// Each frame, and an old one at its new place.
fn replay() -> Liar {
    let mut old: VecDeque<Bytes> = VecDeque::new();
    Box::new(move |to, instance, body| {
        let Owner::Party(..) = to else { return Tamper::Pass };
        old.push_back(body.clone());
        if old.len() > OLD_MAX {
            old.pop_front();
        }
        let again = old.front().filter(|again| *again != body).cloned();
        Tamper::Also(again.map(|again| (instance.clone(), again)).into_iter().collect())
    })
}

/// Another batch for each other member in one round of the stream, all rightly signed: whichever is
/// ordered, `f + 1` correct members were told otherwise. In a stream of lanes, whose batches look alike
/// whichever engine orders them, another batch of the lane for each; as the leader of a fast one, another
/// cut for half of them.
fn equivocate(seat: Seat) -> Liar {
    Box::new(move |to, instance, body| {
        let Owner::Party(group, party) = to else { return Tamper::Pass };
        let stream = instance.path().last().is_none_or(|segment| segment.role == Role::Stream);
        if *group != seat.group.id || party.number() == 0 || !stream {
            return Tamper::Pass;
        }
        let withdrawn = vec![Digest::of("a lie", &party.number().to_le_bytes())];
        let lie = replica::Ballot { withdrawn, ..replica::Ballot::default() };
        let batch = Batch::of([wire::encode(&lie)]);
        if let Ok(atomic::Message::Queue { round, .. }) = wire::decode(body) {
            let seat = Seat { id: instance.clone(), ..seat.clone() };
            return Tamper::Replace(wire::encode(&atomic::Message::queue(&seat, round, batch)));
        }
        match wire::decode(body) {
            Ok(fast::Message::Batch { seq, .. }) => {
                Tamper::Replace(wire::encode(&fast::Message::Batch { seq, batch }))
            }
            Ok(fast::Message::Cut { place, mut item }) if party.number() % 2 == 1 => {
                item.heads.pop();
                Tamper::Replace(wire::encode(&fast::Message::Cut { place, item }))
            }
            _ => Tamper::Pass,
        }
    })
}

#[cfg(test)]
mod tests {
    use maftia_core::stream::certified;

    use super::*;

    #[test]
    fn batches_of_lanes_look_alike_in_all_engines() {
        let batch = || Batch::of(["x"]);
        let fast = wire::encode(&fast::Message::Batch { seq: 3, batch: batch() });
        assert_eq!(fast, wire::encode(&certified::Message::Batch { seq: 3, batch: batch() }));
    }

    #[test]
    fn names_and_kinds_are_the_same_list() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("lie".parse::<FaultKind>(), Err(UnknownFault("lie".into())));
    }
}
