//! What the console says of the faults that can be injected.

use maftia::faults::FaultKind;

use crate::{
    command::words::printable,
    failure::{Code, Failure, meant},
};

/// What there is to say of a fault: the class of evidence that it can reach, or `none`, and what it
/// does, in a sentence without its subject.
const fn about(kind: FaultKind) -> (&'static str, &'static str) {
    match kind {
        FaultKind::Crash => ("suspected", "it stops"),
        FaultKind::Mute => ("suspected", "it listens and says nothing"),
        FaultKind::Delay => ("suspected", "it says everything late"),
        FaultKind::Equivocate => {
            ("attested", "it tells different things to different parties, where it is the sender")
        }
        FaultKind::CorruptReply => ("observed", "it answers clients with wrong values"),
        FaultKind::Forge => ("attested", "it says things in the name of others"),
        FaultKind::Replay => ("attested", "it says old things again, where they do not belong"),
        // A network may be slow for ever with just these messages, so nobody can tell.
        FaultKind::WithholdShares => {
            ("none", "it keeps its shares of coins and signatures to itself")
        }
        FaultKind::CorruptState => {
            ("observed", "it changes its state behind the back of the protocol")
        }
    }
}

/// The class of evidence that it can reach, or `none`.
pub(crate) const fn reaches(kind: FaultKind) -> &'static str {
    about(kind).0
}

/// What it does, in a sentence without its subject.
pub(crate) const fn does(kind: FaultKind) -> &'static str {
    about(kind).1
}

/// Whether it can make a value wrong once there are more than `f` of it. Silence cannot.
pub(crate) const fn lies(kind: FaultKind) -> bool {
    use FaultKind::{Crash, Delay, Mute, WithholdShares};
    !matches!(kind, Crash | Mute | Delay | WithholdShares)
}

/// The fault of this name.
pub(crate) fn named(text: &str) -> Result<FaultKind, Failure> {
    text.parse().map_err(|_| {
        let names = FaultKind::ALL.map(FaultKind::name);
        let meant = meant(text, names);
        Failure::new(
            Code::UnknownFault,
            format!("`{}` is no fault", printable(text)),
            format!("{meant}known are {}", names.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reaches_a_class_and_a_slip_finds_it() {
        for kind in FaultKind::ALL {
            assert_eq!(named(kind.name()), Ok(kind));
            assert!(
                ["none", "suspected", "observed", "attested", "proven"].contains(&reaches(kind))
            );
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.name(), "JSON and command line say the same");
        }
        let wrong = named("corupt-reply").unwrap_err();
        assert!(wrong.help.starts_with("did you mean `corrupt-reply`?"), "{}", wrong.help);
    }
}
