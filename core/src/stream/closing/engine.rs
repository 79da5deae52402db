//! What a closing stream can stand on.

use crate::{
    protocol::{Kind, Protocol},
    stream::{
        atomic::{self, Atomic},
        certified::Certified,
        fast::Fast,
        open::Shelved,
        secure::{self, Author, Secure},
    },
};

/// An engine: whatever can be talked to as [`atomic`] can.
pub trait Engine: Protocol {
    /// The name of a closing stream over this engine.
    const CLOSING: Kind;
    /// Whether each payload of a batch has a slot, or the batch has one.
    const SLOT_A_PAYLOAD: bool = true;

    /// What asks this of it.
    fn ask(input: atomic::Input) -> Self::Input;
    /// What it says, if that is for users: all correct parties leave out the same.
    fn read(output: Self::Output) -> Option<atomic::Output>;
}

/// Those that speak the language of [`atomic`] themselves.
macro_rules! plain {
    ($engine:ty, $name:literal) => {
        impl Engine for $engine {
            const CLOSING: Kind = Kind($name);

            fn ask(input: atomic::Input) -> atomic::Input {
                input
            }

            fn read(output: atomic::Output) -> Option<atomic::Output> {
                Some(output)
            }
        }
    };
}

plain!(Atomic, "closing atomic");
plain!(Certified, "closing certified");
plain!(Fast, "closing fast");
plain!(Shelved<Atomic>, "closing shelved atomic");
plain!(Shelved<Certified>, "closing shelved certified");
plain!(Shelved<Fast>, "closing shelved fast");

/// What outsiders had members forward is not for a closing stream: it has members only.
impl<A: secure::Engine> Engine for Secure<A> {
    const CLOSING: Kind = Kind("closing secure");
    const SLOT_A_PAYLOAD: bool = false;

    fn ask(input: atomic::Input) -> secure::Input {
        match input {
            atomic::Input::Submit { batch } => secure::Input::Submit { batch },
            atomic::Input::Pull { up_to } => secure::Input::Pull { up_to },
            atomic::Input::Resume { position } => secure::Input::Resume { position },
        }
    }

    fn read(output: secure::Output) -> Option<atomic::Output> {
        Some(match output {
            secure::Output::Deliver { slot, author: Author::Member(from), batch, .. } => {
                atomic::Output::Deliver { first: slot, from, batch }
            }
            secure::Output::Deliver { author: Author::Client(_), .. }
            | secure::Output::Invalid { .. } => return None,
            secure::Output::RoundEnd { position } => atomic::Output::RoundEnd { position },
            secure::Output::Refused { payloads } => atomic::Output::Refused { payloads },
            secure::Output::Ordered { own } => atomic::Output::Ordered { own },
            secure::Output::Unsure { batch } => atomic::Output::Unsure { batch },
            secure::Output::Behind => atomic::Output::Behind,
            secure::Output::Lagged { from, to } => atomic::Output::Lagged { from, to },
        })
    }
}
