//! A transaction as an application meets it.

use maftia_core::id::GroupId;
use maftia_tss::{
    client::{Call, Progress, Session},
    refusal::Refusal,
    request::Ended,
    resources::{Answer, Operation},
    token::{Seed, Token},
    transaction::{BadKey, Key, Outcome},
};

use crate::{
    assembly::Assembly,
    client::{AskError, Client, Voted},
};

/// Why an operation of a transaction has no result.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// A name that is not `group/key`, or no group's.
    #[error("`{0}` names no key: write the group and the key, as in left/alice")]
    NoSuchKey(String),
    /// A key that cannot be.
    #[error(transparent)]
    BadKey(#[from] BadKey),
    /// No answer, or a refusal.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The operation makes no sense now.
    #[error("{0}")]
    Refused(Refusal),
    /// The system has no randomness to give.
    #[error("the system gives no randomness: {0}")]
    Randomness(String),
}

/// A transaction of one client, which it began or joined.
///
/// Dropped without [`commit`](Self::commit), it ends with its lease and has no effect.
pub struct Transaction<'a> {
    client: &'a Client,
    assembly: &'a Assembly,
    session: Session,
}

impl<'a> Transaction<'a> {
    /// Begins a transaction.
    pub async fn begin(
        client: &'a Client,
        assembly: &'a Assembly,
    ) -> Result<Self, TransactionError> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed)
            .map_err(|error| TransactionError::Randomness(error.to_string()))?;
        let seed = Seed::new(seed);
        let mut session = Session::new(client.id(), manager(assembly));
        let begun = client.call(&session.begin(&seed, None)).await?;
        session.began(seed, begun.value);
        Ok(Self { client, assembly, session })
    }

    /// Joins the transaction that the token opens.
    pub async fn join(
        client: &'a Client,
        assembly: &'a Assembly,
        token: &Token,
    ) -> Result<Self, TransactionError> {
        let mut session = Session::new(client.id(), manager(assembly));
        let view = client.call(&session.join(token)).await?;
        session.joined(*token, view.value);
        Ok(Self { client, assembly, session })
    }

    /// What another client joins it with. A secret.
    pub fn token(&self) -> Option<Token> {
        self.session.token()
    }

    /// Reads a value, as this transaction sees it.
    pub async fn read(&self, name: &str) -> Result<Voted<Answer>, TransactionError> {
        self.operate(name, Operation::Read).await
    }

    /// Sets a value.
    pub async fn write(&self, name: &str, value: &str) -> Result<Voted<Answer>, TransactionError> {
        self.operate(name, Operation::Write(value.to_owned())).await
    }

    /// Moves an amount from one key to another.
    pub async fn transfer(
        &self,
        from: &str,
        to: &str,
        amount: i64,
    ) -> Result<(), TransactionError> {
        let (from, to) = (self.find(from)?, self.find(to)?);
        let mut transfer =
            self.session.transfer(from, to, amount).map_err(TransactionError::Refused)?;
        while let Some(call) = transfer.call() {
            match self.client.call(&call).await {
                Ok(answer) => transfer.heard(Ok(answer.value)),
                Err(AskError::Service(refusal)) => transfer.heard(Err(refusal)),
                Err(error) => return Err(error.into()),
            }
        }
        match transfer.result() {
            Some(Err(refusal)) => Err(TransactionError::Refused(refusal.clone())),
            _ => Ok(()),
        }
    }

    /// Agrees to commit, and waits for the end. When others take part all must agree; when somebody
    /// joined since this client last looked, it agrees to that too.
    pub async fn commit(mut self) -> Result<Outcome, TransactionError> {
        self.progress(Session::look).await?;
        loop {
            if let Some(ended) = self.progress(|session| session.commit(true)).await? {
                return Ok(ended.outcome);
            }
        }
    }

    /// Ends it without effect.
    pub async fn abort(self, reason: &str) -> Result<Outcome, TransactionError> {
        let call = self.session.abort(reason).map_err(TransactionError::Refused)?;
        Ok(self.client.call(&call).await?.value.outcome)
    }

    async fn progress(
        &mut self,
        call: impl Fn(&Session) -> Result<Call<Progress>, Refusal>,
    ) -> Result<Option<Ended>, TransactionError> {
        let call = call(&self.session).map_err(TransactionError::Refused)?;
        let progress = self.client.call(&call).await?.value;
        self.session.progressed(&progress);
        Ok(match progress {
            Progress::Ended(ended) => Some(ended),
            Progress::Waiting(_) | Progress::Stale(_) => None,
        })
    }

    async fn operate(
        &self,
        name: &str,
        operation: Operation,
    ) -> Result<Voted<Answer>, TransactionError> {
        let (group, key) = self.find(name)?;
        Ok(self.client.call(&self.session.operate(group, key, operation)).await?)
    }

    fn find(&self, name: &str) -> Result<(GroupId, Key), TransactionError> {
        let unknown = || TransactionError::NoSuchKey(name.chars().take(80).collect());
        let (group, key) = name.split_once('/').ok_or_else(unknown)?;
        let group = self.assembly.config().named(group).ok_or_else(unknown)?;
        Ok((group.id, Key::new(key)?))
    }
}

fn manager(assembly: &Assembly) -> GroupId {
    assembly.config().transactions().expect("the configuration has one").id
}
