//! Says old things again: to others than they were meant for, and in other instances. It replays
//! what it said itself and what it heard.

use bytes::Bytes;

use super::{Behaviour, Corrupted, Outgoing};
use crate::{effects::Lane, path::InstanceId, seat::Owner};

/// The most frames that it remembers.
const MEMORY: usize = 64;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Replay {
    heard: Vec<(InstanceId, Bytes)>,
}

impl Replay {
    fn remember(&mut self, instance: &InstanceId, bytes: &Bytes, cx: &mut Corrupted<'_>) {
        let item = (instance.clone(), bytes.clone());
        if self.heard.len() < MEMORY {
            self.heard.push(item);
        } else {
            self.heard[cx.rng.below(MEMORY)] = item;
        }
    }
}

impl Behaviour for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        self.remember(&frame.instance, &frame.bytes, cx);
        let mut again = frame.clone();
        cx.send(frame);
        if cx.rng.once_in(3) {
            again.bytes = cx.rng.choose(&self.heard).1.clone();
            cx.send(again);
        }
    }

    fn hear(&mut self, _: Owner, instance: &InstanceId, bytes: &Bytes, cx: &mut Corrupted<'_>) {
        self.remember(instance, bytes, cx);
        if cx.rng.once_in(4) && !cx.others.is_empty() {
            let to = *cx.rng.choose(cx.others);
            let bytes = cx.rng.choose(&self.heard).1.clone();
            let instance = cx.rng.choose(&self.heard).0.clone();
            cx.send(Outgoing { to, instance, kind: None, lane: Lane::Control, bytes, face: 0 });
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}
