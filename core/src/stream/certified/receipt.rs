//! The heads of lanes: signed by those who store what leads to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Certified, Message, message::NUMBER_MAX};
#[cfg(any(test, feature = "sim"))]
use crate::stream::contents::Content;
use crate::{
    crypto::{Blame, Certificate, Digest, Share},
    effects::Effects,
    fault::Fault,
    id::PartyId,
    path::Tag,
    seat::Seat,
    stream::{atomic::Input, batch::Batch, fast::Head},
    wire,
};

/// How many receipts of the own lane are asked for and not ordered: one for the round under way, and
/// one for the round after it. More would be signed and checked without any use, since a round orders
/// the last one.
const RECEIPTS_MAX: usize = 2;

/// The head of a lane with shares of a quorum: so many members store all that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The head.
    pub head: Head,
    /// Shares of a quorum over it, in the domain of the lane.
    pub certificate: Certificate,
}

impl Receipt {
    /// Whether a quorum of the members of the stream at `seat` signed this head of this lane.
    pub fn check(&self, seat: &Seat, lane: PartyId) -> bool {
        seat.keys.quorum.check(&tag(seat, lane), &digest(self.head), &self.certificate)
    }
}

#[cfg(any(test, feature = "sim"))]
impl Content for Receipt {
    const NAME: &'static str = "receipt of a lane";

    fn judge(&self, seat: &Seat) -> bool {
        self.check(seat, seat.me())
    }
}

/// The domain of the heads of one lane.
fn tag(seat: &Seat, lane: PartyId) -> Tag {
    seat.tag("lane").numbered(u64::from(lane.number()))
}

/// What is signed of a head.
fn digest(head: Head) -> Digest {
    Digest::of_parts("head", &[&head.seq.to_le_bytes(), head.chain.as_bytes()])
}

/// This member's share of a receipt.
pub(super) fn share(seat: &Seat, lane: PartyId, head: Head) -> Share {
    seat.keys.quorum.share(&tag(seat, lane), &digest(head))
}

/// What this member does to have its lane ordered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Receipts {
    /// The head for which it waits.
    open: Option<Open>,
    /// Up to here it asked for receipts.
    asked: u64,
    /// Those that it submitted to the rounds below and that are not ordered.
    submitted: VecDeque<u64>,
}

/// A head, and the shares for it, unchecked, until they make a certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    head: Head,
    shares: BTreeMap<PartyId, Share>,
    /// Whose shares were wrong: they count no more.
    blamed: BTreeSet<PartyId>,
}

impl Receipts {
    /// The lane is ordered up to here.
    pub(super) fn ordered(&mut self, seq: u64) {
        self.submitted.retain(|submitted| *submitted > seq);
        self.open.take_if(|open| open.head.seq <= seq);
        self.asked = self.asked.max(seq);
    }

    /// The number of the head for which it waits.
    pub(super) fn waits_for(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.head.seq)
    }
}

impl Certified {
    /// Asks for a receipt of the own lane, when there is something new, and one is of use.
    pub(super) fn ask_receipt(&mut self, fx: &mut Effects<'_, Self>) {
        let top = self.chain(fx.seat().me()).top();
        let receipts = &mut self.receipts;
        let many = receipts.submitted.len() >= RECEIPTS_MAX;
        if receipts.open.is_some() || many || top.seq <= receipts.asked {
            return;
        }
        receipts.asked = top.seq;
        receipts.open = Some(Open { head: top, shares: BTreeMap::new(), blamed: BTreeSet::new() });
        fx.broadcast(Message::Sign { seq: top.seq });
    }

    /// Signs what owners asked for and this member stores. A signature costs an owner a batch at least,
    /// and a window of batches has room until one of them is ordered.
    pub(super) fn sign(&mut self, fx: &mut Effects<'_, Self>) {
        for (owner, lane) in (0..).map(PartyId::new).zip(&mut self.lanes) {
            if lane.asked > lane.signed
                && let Some(head) = lane.at(lane.asked)
            {
                lane.signed = head.seq;
                let share = share(fx.seat(), owner, head);
                fx.send(owner, Message::Share { head, share });
            }
        }
    }

    /// Takes a share of the receipt that it waits for. One for another head is no fault: if this member
    /// told others something else before it lost its memory, they go by that. Single shares are not
    /// checked unless together they fail.
    pub(super) fn on_share(
        &mut self,
        from: PartyId,
        head: Head,
        share: Share,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(open) = self.receipts.open.as_mut().filter(|open| open.head == head) else {
            return;
        };
        if open.blamed.contains(&from) {
            return;
        }
        open.shares.entry(from).or_insert(share);
        let keys = &fx.seat().keys.quorum;
        if open.shares.len() < keys.needed() {
            return;
        }
        let shares: Vec<_> =
            open.shares.iter().map(|(party, share)| (*party, share.clone())).collect();
        let tag = tag(fx.seat(), fx.seat().me());
        match keys.combine(&tag, &digest(head), &shares) {
            Ok(certificate) => self.submit_receipt(&Receipt { head, certificate }, fx),
            Err(Blame::TooFew { .. }) => {}
            Err(Blame::Culprits(culprits)) => culprits.into_iter().for_each(|party| {
                open.shares.remove(&party);
                if open.blamed.insert(party) {
                    fx.accuse(party, Fault::BadProof { what: "share of a receipt".into() });
                }
            }),
        }
    }

    /// Submits those receipts again of which it is unknown whether they were ordered, but for those that
    /// are of no use any more.
    pub(super) fn on_unsure(&mut self, batch: &Batch, fx: &mut Effects<'_, Self>) {
        let ordered = self.chain(fx.seat().me()).ordered().seq;
        let useful = |bytes: &Bytes| {
            wire::decode::<Receipt>(bytes).is_ok_and(|receipt| receipt.head.seq > ordered)
        };
        let batch = Batch::of(batch.iter().filter(useful));
        if !batch.is_empty() {
            self.ask_below(Input::Submit { batch }, fx);
        }
    }

    fn submit_receipt(&mut self, receipt: &Receipt, fx: &mut Effects<'_, Self>) {
        self.receipts.open = None;
        self.receipts.submitted.push_back(receipt.head.seq);
        let batch = Batch::of([wire::encode(receipt)]);
        self.ask_below(Input::Submit { batch }, fx);
    }

    /// Judges what a member submitted to the rounds below: receipts of its own lane, each further than
    /// the ones before. All correct members see the same in the same order, so they judge alike. What
    /// comes after a wrong one, or after more than a correct member has, is not looked at, so a liar has
    /// few signatures checked in a round.
    pub(super) fn on_receipts(&mut self, from: PartyId, batch: &Batch, fx: &mut Effects<'_, Self>) {
        if batch.len() > RECEIPTS_MAX {
            fx.accuse(from, Fault::Flooded("receipts in a round".into()));
        }
        for bytes in batch.iter().take(RECEIPTS_MAX) {
            let receipt = wire::decode::<Receipt>(&bytes).ok();
            let old = |receipt: &Receipt| receipt.head.seq <= self.below.reached(from).seq;
            if receipt.as_ref().is_some_and(old) {
                continue;
            }
            let right = |receipt: &Receipt| {
                receipt.head.seq <= NUMBER_MAX && receipt.check(fx.seat(), from)
            };
            let Some(receipt) = receipt.filter(right) else {
                return fx.accuse(from, Fault::BadProof { what: "receipt of a lane".into() });
            };
            self.below.move_on(from, receipt.head);
        }
    }
}
