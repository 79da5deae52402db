//! Says what nobody ever meant: its own messages with bits flipped, noise, and frames for instances
//! that it makes up.

use bytes::Bytes;

use super::{Behaviour, Corrupted, Outgoing};
use crate::{
    effects::Lane,
    path::{InstanceId, Role},
    seat::Owner,
};

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Forge;

/// The roles of children that it makes up.
const ROLES: [Role; 7] = [
    Role::Round,
    Role::Proposal,
    Role::Commit,
    Role::Vote,
    Role::Coin,
    Role::Agreement,
    Role::Binary,
];

/// An instance near this one that may not exist.
fn made_up(instance: &InstanceId, cx: &mut Corrupted<'_>) -> InstanceId {
    let number = match cx.rng.below(4) {
        0 => u64::MAX,
        1 => cx.rng.number(),
        _ => cx.rng.below(8) as u64,
    };
    let child = cx.rng.choose(&ROLES).at(number);
    match instance.parent() {
        Some((parent, _)) if cx.rng.once_in(2) => parent.child(child),
        _ if instance.path().len() < InstanceId::DEPTH_MAX => instance.child(child),
        _ => instance.clone(),
    }
}

fn forged(bytes: &Bytes, cx: &mut Corrupted<'_>) -> Bytes {
    let mut bytes = bytes.to_vec();
    match cx.rng.below(4) {
        0 => bytes.truncate(cx.rng.below(bytes.len() + 1)),
        1 => {
            bytes.resize(cx.rng.below(64), 0);
            cx.rng.fill(&mut bytes);
        }
        _ => {
            for _ in 0..=cx.rng.below(3) {
                let flipped = cx.rng.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(flipped) {
                    *byte ^= 1 << cx.rng.below(8);
                }
            }
        }
    }
    bytes.into()
}

impl Behaviour for Forge {
    fn name(&self) -> &'static str {
        "forge"
    }

    fn send(&mut self, mut frame: Outgoing, cx: &mut Corrupted<'_>) {
        match cx.rng.below(4) {
            0 => frame.instance = made_up(&frame.instance, cx),
            1 | 2 => frame.bytes = forged(&frame.bytes, cx),
            _ => {}
        }
        cx.send(frame);
    }

    fn hear(&mut self, _: Owner, instance: &InstanceId, bytes: &Bytes, cx: &mut Corrupted<'_>) {
        if cx.rng.once_in(4) && !cx.others.is_empty() {
            let to = *cx.rng.choose(cx.others);
            let bytes = forged(bytes, cx);
            let instance = if cx.rng.once_in(2) { made_up(instance, cx) } else { instance.clone() };
            cx.send(Outgoing { to, instance, kind: None, lane: Lane::Control, bytes, face: 0 });
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(*self)
    }
}
