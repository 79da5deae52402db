//! What instances said, kept so that it can be said again to a member that lost it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    effects::{Lane, To},
    host::Outside,
    id::PartyId,
    path::{InstanceId, Path},
    protocol::Protocol,
};

/// The most bytes kept of one child and all below it: a hundred times what an agreement of sixteen
/// parties says in a good run. The oldest go first: whoever still waits for them is told the outcome.
const BYTES_MAX: usize = 1 << 20;

/// What the subtrees that are to be kept said, by their roots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Said(BTreeMap<Path, Kept>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    frames: VecDeque<Frame>,
    size: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Frame {
    to: To,
    instance: InstanceId,
    lane: Lane,
    bytes: Bytes,
}

impl Said {
    /// Keeps from now on what the instance at `path` and all below it say.
    pub(super) fn keep(&mut self, path: Path) {
        if self.keeper(&path).is_none() {
            self.0.insert(path, Kept::default());
        }
    }

    /// Whether what is said at exactly this path and below is kept together.
    pub(super) fn keeps(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    /// Whether what the detached children of the root, a `P`, say is kept.
    pub(super) fn keeps_below<P: Protocol>(&self) -> bool {
        P::REPEATS || self.keeps(&Path::new())
    }

    /// Notes what the instance at `at` says to members of its group.
    pub(super) fn note(
        &mut self,
        at: &Path,
        to: To,
        instance: &InstanceId,
        lane: Lane,
        bytes: &Bytes,
    ) {
        if !matches!(to, To::Everyone | To::Member(_)) {
            return;
        }
        let Some(kept) = self.keeper(at).and_then(|path| self.0.get_mut(&path)) else { return };
        kept.size += bytes.len();
        let (instance, bytes) = (instance.clone(), bytes.clone());
        kept.frames.push_back(Frame { to, instance, lane, bytes });
        while kept.size > BYTES_MAX
            && let Some(oldest) = kept.frames.pop_front()
        {
            kept.size -= oldest.bytes.len();
        }
    }

    /// The root of the kept subtree that `at` is in.
    fn keeper(&self, at: &Path) -> Option<Path> {
        if self.0.is_empty() {
            return None;
        }
        (0..=at.len()).map(|depth| Path::from(&at[..depth])).find(|path| self.0.contains_key(path))
    }

    /// Says again to `to` what the subtree at `path` said to it or to everyone, in order.
    pub(super) fn repeat(&self, path: &Path, to: PartyId, outside: &mut dyn Outside) {
        let frames = self.0.get(path).into_iter().flat_map(|kept| &kept.frames);
        for frame in frames.filter(|frame| [To::Everyone, To::Member(to)].contains(&frame.to)) {
            outside.send(To::Member(to), &frame.instance, frame.lane, frame.bytes.clone());
        }
    }

    /// Forgets what the subtree at `path` said.
    pub(super) fn forget(&mut self, path: &Path) {
        self.0.retain(|kept, _| !kept.starts_with(path));
    }
}
