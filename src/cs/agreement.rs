//! Agreements as an application sees them: each member proposes, all decide the same.

use std::marker::PhantomData;

use bytes::Bytes;
use maftia_actors::node::Stopped;
use maftia_core::{
    agreement::{Predicate, binary, multivalued, validated},
    id::PartyId,
    wire::{self, DecodeError, limits::PAYLOAD_MAX},
};

use super::{
    Class, Payload, Port, Terms,
    services::{Say, Spec, Told},
};

/// One bit, which a correct member proposed.
pub type BinaryAgreement = Agreement<Binary>;

/// One bit, of which yes needs a proof that satisfies the predicate; the decision comes with one.
pub type ValidatedAgreement<T> = Agreement<Validated<T>>;

/// One of the proposals, which satisfies the predicate.
pub type ArrayAgreement<T> = Agreement<Array<T>>;

/// Why an agreement goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    /// This member proposed what does not satisfy the predicate or is too large: it was not proposed.
    #[error("the own proposal is too large or does not satisfy the predicate")]
    Improper,
    /// What was decided is nothing of the expected type. A predicate that asks for it prevents that.
    #[error("what was decided cannot be decoded: {0}")]
    Malformed(DecodeError),
    /// The own member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A kind of agreement.
pub trait Kind: Send + 'static {
    /// What the class is called.
    const NAME: &str;
    /// What can be proposed.
    type Proposal;
    /// What is decided.
    type Decision;

    /// How it is made.
    fn spec<Q: Predicate<Proof = Bytes>>(rule: &Q) -> Spec<Q>;
    /// What has it propose this.
    fn say(proposal: &Self::Proposal) -> Say;
    /// What it decided, if this says so.
    fn decided(told: Told) -> Option<Result<Self::Decision, DecodeError>>;
}

/// Of [`BinaryAgreement`].
#[derive(Debug)]
pub enum Binary {}

/// Of [`ValidatedAgreement`].
#[derive(Debug)]
pub struct Validated<T>(PhantomData<T>);

/// Of [`ArrayAgreement`].
#[derive(Debug)]
pub struct Array<T>(PhantomData<T>);

impl Kind for Binary {
    const NAME: &str = "binary agreement";
    type Proposal = bool;
    type Decision = bool;

    fn spec<Q: Predicate<Proof = Bytes>>(_: &Q) -> Spec<Q> {
        Spec::Binary(binary::Spec::biased_to(true))
    }

    fn say(proposal: &bool) -> Say {
        Say::Binary(binary::Input::Propose(*proposal))
    }

    fn decided(told: Told) -> Option<Result<bool, DecodeError>> {
        match told {
            Told::Binary(binary::Output::Decided { value, .. }) => Some(Ok(value)),
            _ => None,
        }
    }
}

impl<T: Payload> Kind for Validated<T> {
    const NAME: &str = "validated agreement";
    type Proposal = Option<T>;
    type Decision = Option<T>;

    fn spec<Q: Predicate<Proof = Bytes>>(rule: &Q) -> Spec<Q> {
        Spec::Validated(rule.clone())
    }

    fn say(proposal: &Option<T>) -> Say {
        Say::Validated(validated::Input::Propose(proposal.as_ref().map(wire::encode)))
    }

    fn decided(told: Told) -> Option<Result<Option<T>, DecodeError>> {
        match told {
            Told::Validated(validated::Output::Decided(proof)) => {
                Some(proof.map(|proof| wire::decode(&proof)).transpose())
            }
            _ => None,
        }
    }
}

impl<T: Payload> Kind for Array<T> {
    const NAME: &str = "array agreement";
    type Proposal = T;
    type Decision = (PartyId, T);

    fn spec<Q: Predicate<Proof = Bytes>>(rule: &Q) -> Spec<Q> {
        let (first, predicate) = (PartyId::new(0), rule.clone());
        Spec::Array(multivalued::Spec { first, predicate, limit: PAYLOAD_MAX })
    }

    fn say(proposal: &T) -> Say {
        Say::Array(multivalued::Input::Propose(wire::encode(proposal)))
    }

    fn decided(told: Told) -> Option<Result<(PartyId, T), DecodeError>> {
        match told {
            Told::Array(multivalued::Output::Decided { from, value }) => {
                Some(wire::decode(&value).map(|value| (from, value)))
            }
            _ => None,
        }
    }
}

/// One agreement. Its terms are the predicate, the same at every member.
pub struct Agreement<K> {
    port: Port,
    marker: PhantomData<fn() -> K>,
}

impl<Q: Predicate<Proof = Bytes>, K: Kind> Class<Q> for Agreement<K> {
    type Terms = Q;
    const NAME: &str = K::NAME;

    fn spec(rule: &Q) -> Spec<Q> {
        K::spec(rule)
    }

    fn over(port: Port, _: Terms<Q>) -> Self {
        Self { port, marker: PhantomData }
    }
}

impl<K: Kind> Agreement<K> {
    /// Takes part with this proposal. What is proposed first counts.
    pub async fn propose(&self, proposal: &K::Proposal) -> Result<(), AgreementError> {
        let say = K::say(proposal);
        if let Say::Validated(validated::Input::Propose(Some(proof))) = &say
            && proof.len() > PAYLOAD_MAX
        {
            return Err(AgreementError::Improper);
        }
        Ok(self.port.ask(say).await?)
    }

    /// Waits for what all decide, which comes once.
    pub async fn decide(mut self) -> Result<K::Decision, AgreementError> {
        loop {
            let told = self.port.next().await?;
            if told == Told::Improper {
                return Err(AgreementError::Improper);
            }
            if let Some(decided) = K::decided(told) {
                return decided.map_err(AgreementError::Malformed);
            }
        }
    }
}
