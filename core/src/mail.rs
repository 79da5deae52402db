//! Whatever can reach a tree: the mailbox, the log entry and the line of a story in one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::Answer,
    host::Alarm,
    id::{PartyId, Peer},
    path::{InstanceId, Segment},
    protocol::Protocol,
    wire::bulk,
};

/// One piece of mail for a tree whose root is a `P`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Mail<P: Protocol> {
    /// Begin. Comes first, once.
    Start,
    /// The user of the root asks.
    Input {
        /// Its number on the edge from the parent, counted from 1; a number is taken once. 0 stands
        /// for an application, whose inputs are all taken.
        number: u64,
        /// What is asked.
        input: P::Input,
    },
    /// A detached child answers.
    Heard {
        /// Which child.
        from: Segment,
        /// The number of the answer on that edge, counted from 1; a number is taken once.
        number: u64,
        /// The answer.
        heard: P::Heard,
    },
    /// A peer says something to the root or to one of its inline descendants.
    Frame {
        /// Who, authenticated by the link.
        from: Peer,
        /// The addressee.
        instance: InstanceId,
        /// The message, encoded.
        #[serde(with = "bulk")]
        bytes: Bytes,
    },
    /// An alarm went off.
    Alarm(Alarm),
    /// A job is done.
    Answer {
        /// The job's place: the instance that asked, and the segment it chose.
        job: InstanceId,
        /// What came out.
        answer: Answer,
    },
    /// The links, or the parent, have a notice for the whole tree.
    Notice(Notice),
}

/// What is for every instance of a tree and of the detached trees below it. It may come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Frames of this peer are lost for good.
    Missed {
        /// Whose frames.
        from: Peer,
    },
    /// What the tree said to this member, as far as it is [kept](crate::protocol::Protocol::REPEATS),
    /// is to be said again.
    Repeat {
        /// The member.
        to: PartyId,
    },
}
