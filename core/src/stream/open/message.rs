//! What members and readers say to each other.

use serde::{Deserialize, Serialize};

use super::{CHUNK_BYTES, Certificate, Entry};
use crate::{
    crypto::{Digest, Share},
    effects::Lane,
    fault::Fault,
    id::Slot,
    wire::limits,
};

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A member to all, or to a reader that wants it: "this is my chain at this slot", signed.
    Mark {
        /// The slot.
        slot: Slot,
        /// The chain there.
        chain: Digest,
        /// A share of the certificate.
        share: Share,
    },
    /// A reader: "send me your entries from this slot on". Ends an earlier reading.
    Read {
        /// A number that all which is sent bears.
        ticket: u64,
        /// The slot.
        from: Slot,
        /// Whether a certificate must come first, since the reader does not know the chain there.
        proven: bool,
        /// As far as the reader takes entries, exclusive.
        up_to: Slot,
    },
    /// A reader: "I have dealt with everything below `taken`, and take more".
    Pull {
        /// The number of the reading.
        ticket: u64,
        /// The slot up to which entries take no room any more.
        taken: Slot,
        /// As far as the reader takes entries, exclusive.
        up_to: Slot,
    },
    /// A reader: "tell me your chain at this slot, once you are there".
    Confirm {
        /// The slot.
        slot: Slot,
    },
    /// A reader: "sign your chain at this slot for me, once you are there".
    Sign {
        /// The slot.
        slot: Slot,
    },
    /// A member: "entries come from this slot on".
    Begin {
        /// The number of the reading.
        ticket: u64,
        /// The slot: the one asked for, or one below it with a certificate.
        slot: Slot,
        /// The certificate, if it was asked for and this is not the first slot.
        certificate: Option<Certificate>,
    },
    /// A member: "these are all entries from here to there".
    Entries {
        /// The number of the reading.
        ticket: u64,
        /// The first slot.
        from: Slot,
        /// The entries; slots between them are empty.
        entries: Vec<Entry>,
        /// The slot after the last.
        to: Slot,
    },
    /// A member: "what I sent is proven up to here".
    Certified {
        /// The proof.
        certificate: Certificate,
    },
    /// A member: "I do not keep that any more". The reading is over.
    Gone {
        /// The number of the reading.
        ticket: u64,
        /// The oldest place from which it can send entries with proof.
        certificate: Certificate,
    },
    /// A member: "I cannot serve you now". The reading is over.
    Busy,
    /// A member: the answer to [`Message::Confirm`].
    Tip {
        /// The slot.
        slot: Slot,
        /// The chain there; `None` if that is not kept any more.
        chain: Option<Digest>,
    },
}

impl Message {
    /// Whether a member says it to members.
    pub(super) const fn is_for_members(&self) -> bool {
        matches!(self, Self::Mark { .. })
    }

    /// Whether a reader says it.
    pub(super) const fn is_of_readers(&self) -> bool {
        matches!(
            self,
            Self::Read { .. } | Self::Pull { .. } | Self::Confirm { .. } | Self::Sign { .. }
        )
    }

    /// Checks the sizes of what was said in a group of `n`.
    pub(super) fn check(&self, n: u16) -> Result<(), Fault> {
        let fits = |certificate: &Certificate| {
            certificate.proof.0.len() <= limits::certificate_bytes_max(n)
        };
        match self {
            Self::Mark { share, .. } if share.0.len() > limits::SHARE_BYTES_MAX => {
                Err(Fault::Improper("a share longer than any scheme makes".into()))
            }
            Self::Begin { certificate: Some(certificate), .. }
            | Self::Certified { certificate }
            | Self::Gone { certificate, .. }
                if !fits(certificate) =>
            {
                Err(Fault::Improper("a certificate longer than any scheme makes".into()))
            }
            Self::Entries { from, entries, to, .. } => check_entries(*from, entries, *to),
            _ => Ok(()),
        }
    }

    /// Only what must keep its order with entries waits behind them.
    pub(super) const fn lane(&self) -> Lane {
        match self {
            Self::Begin { .. }
            | Self::Entries { .. }
            | Self::Certified { .. }
            | Self::Gone { .. } => Lane::Bulk,
            _ => Lane::Control,
        }
    }
}

/// Slots rise from the first on and lie below the last, and a message holds no more than one chunk and
/// what overflows it.
fn check_entries(from: Slot, entries: &[Entry], to: Slot) -> Result<(), Fault> {
    let mut next = from;
    let rising = entries.iter().all(|entry| {
        let fits = entry.slot >= next && entry.slot < to;
        next = Slot::new(entry.slot.number().saturating_add(1));
        fits && entry.payload.len() <= limits::PAYLOAD_MAX
    });
    let weight: u64 = entries.iter().rev().skip(1).map(Entry::weight).sum();
    if rising && from < to && weight <= CHUNK_BYTES {
        Ok(())
    } else {
        Err(Fault::Improper("entries whose slots or sizes no correct member sends".into()))
    }
}
