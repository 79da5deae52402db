//! A deterministic service behind an atomic stream, and its clients.
//!
//! [`service`] is what one writes; [`Replica`] runs it at each member of a group; [`Session`] is a
//! client's side. Replicas of different groups speak to each other.
//!
//! # Reference
//! Schneider, *Implementing fault-tolerant services using the state machine approach*, ACM Computing
//! Surveys 1990. Castro and Liskov, *Practical Byzantine fault tolerance and proactive recovery*,
//! TOCS 2002 (authenticators, checkpoints, state transfer). Clement et al., *Making Byzantine fault
//! tolerant systems tolerate Byzantine faults*, NSDI 2009 (what a client can do with authenticators).
//!
//! # Model
//! That of the stream below; authenticated and reliable links to clients and to the members of other
//! groups. Alarms only decide when to ask again, and when a member says that a tick passed.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | an item takes effect | `one_correct` vouches for its id, ordered | a correct member checked it and holds its body |
//! | a statement is vouched for | `one_correct` of its group say the same | one of them is correct |
//! | a tick takes effect | `one_correct` vouches, ordered | a correct clock measured it; `f` cannot hurry or stop it |
//! | an acknowledgement counts | `one_correct` of the other group, then `one_correct` vouches | the same, twice |
//! | a checkpoint is stable | `most_correct` equal | `f + 1` correct members can serve it |
//! | a state is loaded | `most_correct` equal, later `2f` others | one correct member vouches; see below |
//!
//! # Properties
//! Equal states at equal slots at all correct members; each request of a client takes effect at most
//! once, in the order of its numbers; each statement of a group takes effect exactly once, in its
//! order; what a correct client says to one correct member takes effect; nothing that no client and
//! no group said does. Memory is bounded, whatever clients and `f` members do.
//!
//! *One rule for all that comes from outside.* Ballots, the payloads of the stream, name ids of bodies
//! that their member stores and has checked: its own authenticator of a request, or `f_A + 1` equal
//! statements of members of group A. An id takes effect at the slot of its `(f+1)`-th distinct vouch.
//! The contact of a client cannot alter a request, since its id would be another and its
//! authenticators wrong. A request whose authenticator is right at one correct member only still
//! takes effect if that member's vouch and a liar's meet; that is the will of a client that lies, and
//! the same at all members. A member that lacks the body of a vouched request asks the voucher, checks
//! it and vouches, too; so one correct contact is enough. Who lacks the body of what is due waits, and
//! asks the vouchers in turn.
//!
//! *What is due has its body at a correct voucher.* One of `f + 1` vouchers is correct. It stored the
//! body before it put the id into a ballot, and lets go of it (`let_go`) only if neither a ballot of
//! its own that may yet be counted names the id, nor its vouch stands in its state. Ballots are
//! numbered, and the state keeps the number of each member's last one: so a ballot may yet be counted
//! until the state, executed or loaded, has its number or a later one, or until the stream says that
//! it was out in a round that was jumped over, which lies below the state. Where a vouch stands, it
//! is displaced, taken back or followed by the effect at the same slot for all. So who executes the
//! slot at which an id is due finds that its correct voucher either has not come so far, and holds the
//! body, since its vouch is on its way or stands; or has, and keeps what took effect until a checkpoint
//! an interval above it is stable, which a slower member can load. It does not matter how late the
//! ballot was ordered, whether the id took effect before and is forgotten, or whether it had no effect:
//! the rule speaks of ballots and vouches only, and a liar has no part in it. What took effect long ago
//! and is vouched for anew is taken back by its voucher, to save room. Should a body be lost all the
//! same, then whoever says it again helps: it is stored if it is due.
//!
//! *What decides effects is replicated*: vouches by member, clients' sessions, both directions to each
//! other group, ticks. Vouches are bounded for each member on its own, so a liar displaces only its
//! own; what is displaced can be vouched for again. A member whose store is crowded takes back its
//! oldest vouches, ordered like all else, and only then lets the bodies go.
//!
//! *Sessions of guests are opened in eras.* A client that the configuration does not name is held while
//! fewer than a thousand such were active since. When its session goes, the state keeps nothing of it
//! but that the era in which it was opened is over: a session that is not held is opened in the present
//! era only. So whatever a client said in a session that went has no effect any more, whoever says it
//! again and however late, and one number is all that has to be remembered. An era goes on while the
//! sessions that go are of earlier ones. No word of a client moves it, only that it was held and went; an
//! era to come opens nothing. Sessions that are held go on through all eras.
//!
//! *Clients take turns.* What waits until a member vouches for it waits in a lane of its client. A ballot
//! takes one of each lane in turn, and a lane has a share of the room, which leaves some to those who
//! come; clients that the configuration names have theirs whoever comes. So who floods has its own
//! requests refused, and a quiet client's are in the next ballot.
//!
//! *Ticks are numbered.* When the service no longer waits for time, the number that was being measured
//! is passed over, so nobody's measurement of an earlier wait hurries a later one.
//!
//! *Checkpoints* are taken at the end of the first round that reaches a slot, which is the same slot
//! at all members. The state names slots, not rounds: a stream may skip over the ends of empty rounds.
//! A member whose state differs from a stable one loads that and goes through what was ordered since
//! again. A member jumps to a state that `2f + 1` hold, so that the members still in the rounds below
//! it can end them without it. With `f` silent only `2f` others are left to hold it: after two tries
//! these are enough, by when the correct ones among the others have long ended those rounds.
//!
//! *Every piece of a state has its proof.* What members vouch for is the digest of the list of the
//! digests of the pieces. Whoever fetches a state has the list first, then pieces from all holders at
//! a time, `UNDER_WAY_MAX` of them under way. One that sends a wrong one is named and asked no more,
//! and what it was asked for is asked of another; one that lets an alarm pass is asked last. Of `2f`
//! holders `f` are correct. A transfer takes as much memory as the state, whose size is vouched for,
//! and as the pieces under way.
//!
//! # Deviations
//! Replies are whole, from every member. Checkpoints are encoded whole, and not page by page as they
//! change. A guest that was idle while a thousand others came cannot be told what became of the command
//! that it said last; clients of the configuration are never forgotten. Who is able to bring a thousand
//! guests within a round trip keeps other guests out. Bodies that took effect are bounded in number and bytes, too: a member slower
//! by more than that within one interval waits for a checkpoint. A member whose state went wrong may
//! lack bodies of vouches that it repeats after it mended itself: until they took effect it is one of
//! the `f`.

mod checkpoint;
mod clients;
mod entry;
mod feed;
mod fetching;
mod groups;
mod hearing;
mod log;
mod machine;
mod message;
mod number;
mod pages;
mod queue;
mod reply;
mod rota;
pub mod service;
pub mod session;
mod state;
mod store;
mod transfer;
mod turn;
mod vouch;

#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use machine::{Ask, Heard, INTERVAL, Output, Replica, Spec, Stream, Timer};
pub use message::{Asked, Ballot, Body, Message, Refusal, Reply, Request, Statement};
pub use number::{Number, STRANDS_MAX};
pub use session::Session;
