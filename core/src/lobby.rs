//! Mail that came early: it waits, within its sender's quota, until its instance opens.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    id::{PartyId, Peer},
    path::{Path, Role},
};

/// The most frames of one sender that may wait: eight rounds of a group of 16, with a consistent
/// broadcast of three messages and a binary agreement of a dozen from each party.
pub const FRAMES_MAX: usize = 4_096;

/// The most bytes of one sender that may wait: four of the largest frames.
pub const BYTES_MAX: usize = 20 << 20;

/// A sender used up its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{frames} early frames of {bytes} bytes wait already")]
pub struct Full {
    /// How many frames wait.
    pub frames: usize,
    /// How many bytes wait.
    pub bytes: usize,
}

/// Frames for instances that are not open yet, and who talks about what is above the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lobby {
    waiting: BTreeMap<Path, Vec<(Peer, Bytes)>>,
    usage: BTreeMap<Peer, (usize, usize)>,
    above: BTreeMap<(Path, Role), Above>,
}

/// How far the members are above the window of one role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Above {
    highest: BTreeMap<PartyId, u64>,
    told: u64,
}

impl Lobby {
    /// Lets a frame wait for the instance at `path`.
    pub fn keep(
        &mut self,
        from: Peer,
        path: &[crate::path::Segment],
        bytes: Bytes,
    ) -> Result<(), Full> {
        let (frames, size) = self.usage.entry(from).or_default();
        if *frames >= FRAMES_MAX || *size + bytes.len() > BYTES_MAX {
            return Err(Full { frames: *frames, bytes: *size });
        }
        *frames += 1;
        *size += bytes.len();
        self.waiting.entry(path.into()).or_default().push((from, bytes));
        Ok(())
    }

    /// What waited for the instance at `path`, in the order in which it came.
    pub fn take(&mut self, path: &Path) -> Vec<(Peer, Bytes)> {
        let frames = self.waiting.remove(path).unwrap_or_default();
        frames.iter().for_each(|(from, bytes)| self.release(*from, bytes.len()));
        frames
    }

    /// What waited for the instance at `path` and for all below it, with the instances.
    pub fn take_below(&mut self, path: &Path) -> Vec<(Path, Vec<(Peer, Bytes)>)> {
        let below: Vec<Path> = self
            .waiting
            .range(path.clone()..)
            .map(|(waiting, _)| waiting)
            .take_while(|waiting| waiting.starts_with(path))
            .cloned()
            .collect();
        self.above.retain(|(parent, _), _| !parent.starts_with(path));
        below.into_iter().map(|path| (path.clone(), self.take(&path))).collect()
    }

    /// Notes that `from` talks about the child `number` of a role, which is above the window.
    /// Returns whether it did not talk of one as high before, and the number that one correct member
    /// has reached, when that is news.
    pub fn beyond(
        &mut self,
        parent: &[crate::path::Segment],
        role: Role,
        from: PartyId,
        number: u64,
        one_correct: usize,
    ) -> (bool, Option<u64>) {
        let above = self.above.entry((parent.into(), role)).or_default();
        let highest = above.highest.get(&from).copied();
        if highest.is_some_and(|highest| highest >= number) {
            return (false, None);
        }
        above.highest.insert(from, number);
        let mut numbers: Vec<u64> = above.highest.values().copied().collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let reached = numbers.get(one_correct - 1).copied().filter(|number| *number > above.told);
        above.told = reached.unwrap_or(above.told);
        (true, reached)
    }

    /// How many frames wait.
    pub fn len(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn release(&mut self, from: Peer, bytes: usize) {
        if let Some((frames, size)) = self.usage.get_mut(&from) {
            *frames -= 1;
            *size -= bytes;
            if *frames == 0 {
                self.usage.remove(&from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(round: u64) -> Path {
        [Role::Round.at(round)].into_iter().collect()
    }

    #[test]
    fn a_flooding_sender_uses_up_its_own_quota_only() {
        let mut lobby = Lobby::default();
        let (liar, honest) = (Peer::Member(PartyId::new(0)), Peer::Member(PartyId::new(1)));
        for _ in 0..FRAMES_MAX {
            lobby.keep(liar, &path(1), Bytes::new()).expect("within the quota");
        }
        assert!(lobby.keep(liar, &path(2), Bytes::new()).is_err());
        lobby.keep(honest, &path(2), Bytes::from_static(b"x")).expect("has its own quota");
        assert_eq!(lobby.take(&path(1)).len(), FRAMES_MAX);
        assert!(lobby.keep(liar, &path(2), Bytes::new()).is_ok(), "the quota is free again");
        let huge = Bytes::from(vec![0; BYTES_MAX + 1]);
        assert!(lobby.keep(honest, &path(3), huge).is_err());
    }

    #[test]
    fn one_liar_cannot_make_us_believe_that_the_group_went_on() {
        let mut lobby = Lobby::default();
        let mut beyond =
            |party, number| lobby.beyond(&[], Role::Round, PartyId::new(party), number, 2);
        assert_eq!(beyond(0, 1_000_000), (true, None));
        assert_eq!(beyond(1, 20), (true, Some(20)));
        assert_eq!(beyond(1, 20), (false, None), "told already");
        assert_eq!(beyond(2, 30), (true, Some(30)));
    }
}
