//! Two-phase commit as a table: what happens to a transaction, by where it stands.
//!
//! | phase | all clients agree | all groups can | somebody or time undoes it |
//! |---|---|---|---|
//! | active, voting | prepare | - | abort |
//! | preparing | - | commit | abort |
//! | committed, aborted | - | - | - |
//!
//! The manager alone decides, and a decision is a function of ordered requests and statements: no
//! member of its group can tell one participant another outcome. Abort is presumed (Mohan, Lindsay,
//! Obermarck, *Transaction management in the R\* distributed database management system*, ACM TODS
//! 11(4), 1986): only what commits is remembered until every group that changed something has
//! acknowledged, and who asks about anything else is told to abort.

use crate::transaction::Phase;

/// What may move a transaction on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The last client agreed to commit.
    AllAgreed,
    /// The last group said that it can commit.
    AllCan,
    /// A client aborts, a group refuses or gave up, or a lease is over.
    Undone,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Ask the groups.
    Prepare,
    /// It has taken effect: tell the groups, tell the clients.
    Commit,
    /// It will not: tell the groups, tell the clients.
    Abort,
    /// Nowhere.
    Stay,
}

/// The table.
pub(super) const fn next(phase: Phase, happening: Happening) -> Move {
    match (phase, happening) {
        (Phase::Active | Phase::Voting, Happening::AllAgreed) => Move::Prepare,
        (Phase::Preparing, Happening::AllCan) => Move::Commit,
        (Phase::Active | Phase::Voting | Phase::Preparing, Happening::Undone) => Move::Abort,
        (_, Happening::AllAgreed | Happening::AllCan)
        | (Phase::Committed | Phase::Aborted, Happening::Undone) => Move::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_its_picture_says() {
        use Happening::{AllAgreed, AllCan, Undone};
        use Phase::{Aborted, Active, Committed, Preparing, Voting};
        let moves = |phase| [AllAgreed, AllCan, Undone].map(|happening| next(phase, happening));
        assert_eq!(moves(Active), [Move::Prepare, Move::Stay, Move::Abort]);
        assert_eq!(moves(Voting), moves(Active));
        assert_eq!(moves(Preparing), [Move::Stay, Move::Commit, Move::Abort]);
        assert_eq!(moves(Committed), [Move::Stay; 3]);
        assert_eq!(moves(Aborted), [Move::Stay; 3]);
    }
}
