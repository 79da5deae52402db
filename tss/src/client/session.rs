//! What one client remembers between its requests: the transaction that it is in.

use maftia_core::id::{ClientId, GroupId};

use super::{Begun, Call, Progress, Transfer, abort, begin, commit, join, operate, outcome};
use crate::{
    refusal::{Code, Refusal},
    request::{Ended, View},
    resources::{Answer, Operation},
    token::{Seed, Token},
    transaction::{AbortReason, Key, Outcome, TxId},
};

/// One client at one transaction manager, in one transaction at a time.
///
/// Its methods make calls; what the answers mean is told to it with [`began`](Self::began),
/// [`joined`](Self::joined), [`progressed`](Self::progressed) and [`ended`](Self::ended).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    me: ClientId,
    manager: GroupId,
    current: Option<Current>,
    wounded: Option<TxId>,
}

/// The transaction that a client is in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Current {
    view: View,
    token: Token,
}

impl Session {
    /// A client that is in no transaction.
    pub const fn new(me: ClientId, manager: GroupId) -> Self {
        Self { me, manager, current: None, wounded: None }
    }

    /// Who this is.
    pub const fn me(&self) -> ClientId {
        self.me
    }

    /// The transaction that it is in.
    pub fn tx(&self) -> Option<TxId> {
        self.current.as_ref().map(|current| current.view.tx)
    }

    /// The token of the transaction, to hand on.
    pub fn token(&self) -> Option<Token> {
        self.current.as_ref().map(|current| current.token)
    }

    /// Who takes part in the transaction, as far as it knows.
    pub fn view(&self) -> Option<&View> {
        self.current.as_ref().map(|current| &current.view)
    }

    /// Begins a transaction; one that follows a wounded one keeps its age.
    pub fn begin(&self, seed: &Seed, lease_millis: Option<u64>) -> Call<Begun> {
        begin(self.manager, seed, lease_millis, self.wounded)
    }

    /// It has begun: this is its token.
    pub fn began(&mut self, seed: Seed, begun: Begun) -> Token {
        let token = begun.token(seed);
        self.wounded = None;
        self.current = Some(Current { view: begun.view, token });
        token
    }

    /// Joins the transaction of a token.
    pub fn join(&self, token: &Token) -> Call<View> {
        join(self.me, token)
    }

    /// It has joined.
    pub fn joined(&mut self, token: Token, view: View) {
        self.current = Some(Current { view, token });
    }

    /// Operates on a key: in the transaction if it is in one, else only to read what is committed.
    pub fn operate(&self, group: GroupId, key: Key, operation: Operation) -> Call<Answer> {
        operate(group, self.tx(), key, operation)
    }

    /// A transfer in the transaction.
    pub fn transfer(
        &self,
        from: (GroupId, Key),
        to: (GroupId, Key),
        amount: i64,
    ) -> Result<Transfer, Refusal> {
        Ok(Transfer::new(self.needed()?.view.tx, from, to, amount))
    }

    /// Who takes part now? Answered by [`Progress`], which [`progressed`](Self::progressed) takes.
    pub fn look(&self) -> Result<Call<Progress>, Refusal> {
        Ok(outcome(self.needed()?.view.tx, false))
    }

    /// Waits for the outcome.
    pub fn wait(&self) -> Result<Call<Progress>, Refusal> {
        Ok(outcome(self.needed()?.view.tx, true))
    }

    /// Agrees to commit with those of the last view; [`look`](Self::look) first.
    pub fn commit(&self, wait: bool) -> Result<Call<Progress>, Refusal> {
        Ok(commit(&self.needed()?.view, wait))
    }

    /// Aborts.
    pub fn abort(&self, text: &str) -> Result<Call<Ended>, Refusal> {
        Ok(abort(self.needed()?.view.tx, text))
    }

    /// Takes note of an answer to [`look`](Self::look), [`wait`](Self::wait) or
    /// [`commit`](Self::commit).
    pub fn progressed(&mut self, progress: &Progress) {
        match progress {
            Progress::Waiting(view) | Progress::Stale(view) => self.saw(view),
            Progress::Ended(ended) => self.ended(ended),
        }
    }

    /// Takes note that the transaction is over.
    pub fn ended(&mut self, ended: &Ended) {
        if self.tx() == Some(ended.tx) {
            self.current = None;
            let wounded = matches!(ended.outcome, Outcome::Aborted(AbortReason::Wounded { .. }));
            self.wounded = wounded.then_some(ended.tx);
        }
    }

    /// Whether a refusal means that the transaction is over. [`look`](Self::look) says how it ended.
    pub const fn is_over(refusal: &Refusal) -> bool {
        matches!(refusal.code, Code::Aborted | Code::AlreadyCommitted | Code::Forgotten)
    }

    /// Leaves the transaction without a word: its lease ends it, unless others do.
    pub fn leave(&mut self) {
        self.current = None;
    }

    fn saw(&mut self, view: &View) {
        if let Some(current) = self.current.as_mut()
            && current.view.tx == view.tx
        {
            current.view = view.clone();
        }
    }

    fn needed(&self) -> Result<&Current, Refusal> {
        self.current
            .as_ref()
            .ok_or_else(|| Refusal::new(Code::NeedsTransaction, "you are in no transaction"))
    }
}
