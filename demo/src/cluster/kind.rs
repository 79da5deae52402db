//! The faults that can be injected, and how much of each can come to light.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{
    command::words::printable,
    failure::{Code, Failure, meant},
};

/// A way to be faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
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
    /// It says things in the name of others.
    Forge,
    /// It says old things again, where they do not belong.
    Replay,
    /// It keeps its shares of coins and signatures to itself.
    WithholdShares,
    /// It changes its state behind the back of the protocol.
    CorruptState,
}

/// One line a fault: the kind, its name, the class of evidence that it can reach, what it does.
const KINDS: [(FaultKind, &str, &str, &str); 9] = [
    (FaultKind::Crash, "crash", "suspected", "it stops"),
    (FaultKind::Mute, "mute", "suspected", "it listens and says nothing"),
    (FaultKind::Delay, "delay", "suspected", "it says everything late"),
    (
        FaultKind::Equivocate,
        "equivocate",
        "attested",
        "it tells different things to different parties, where it is the sender",
    ),
    (FaultKind::CorruptReply, "corrupt-reply", "observed", "it answers clients with wrong values"),
    (FaultKind::Forge, "forge", "attested", "it says things in the name of others"),
    (FaultKind::Replay, "replay", "attested", "it says old things again, where they do not belong"),
    (
        FaultKind::WithholdShares,
        "withhold-shares",
        // A network may be slow for ever with just these messages, so nobody can tell.
        "none",
        "it keeps its shares of coins and signatures to itself",
    ),
    (
        FaultKind::CorruptState,
        "corrupt-state",
        "observed",
        "it changes its state behind the back of the protocol",
    ),
];

impl FaultKind {
    /// All kinds, in the order of the help.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        KINDS.into_iter().map(|(kind, ..)| kind)
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        self.line().1
    }

    /// The class of evidence that it can reach, or `none`.
    pub(crate) fn reaches(self) -> &'static str {
        self.line().2
    }

    /// What it does, in a sentence without its subject.
    pub(crate) fn does(self) -> &'static str {
        self.line().3
    }

    /// Whether it can make a value wrong once there are more than `f` of it. Silence cannot.
    pub(crate) fn lies(self) -> bool {
        !matches!(self, Self::Crash | Self::Mute | Self::Delay | Self::WithholdShares)
    }

    fn line(self) -> &'static (Self, &'static str, &'static str, &'static str) {
        KINDS.iter().find(|line| line.0 == self).expect("a test finds every kind in the table")
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FaultKind {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Self::all().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            let meant = meant(text, names.iter().copied());
            Failure::new(
                Code::UnknownFault,
                format!("`{}` is no fault", printable(text)),
                format!("{meant}known are {}", names.join(", ")),
            )
        })
    }
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_by_its_name_and_a_slip_finds_it() {
        for kind in FaultKind::all() {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert!(
                ["none", "suspected", "observed", "attested", "proven"].contains(&kind.reaches())
            );
        }
        let wrong = "corupt-reply".parse::<FaultKind>().unwrap_err();
        assert!(wrong.help.starts_with("did you mean `corrupt-reply`?"), "{}", wrong.help);
    }
}
