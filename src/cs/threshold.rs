//! What takes `f + 1` members: coins that nobody knows before, signatures in the name of the group, and
//! what was encrypted to it.

use bytes::Bytes;
use maftia_actors::node::Stopped;
use maftia_core::{
    agreement::{Predicate, coin, opening, signature},
    crypto::{Certificate, Ciphertext},
    seat::Seat,
    wire::{self, DecodeError, limits::PAYLOAD_MAX},
};

use super::{
    Class, Payload, Port, Terms,
    services::{Say, Spec, Told},
};

/// 256 random bits, the same for all, which nobody knows before `f + 1` members toss.
pub struct ThresholdCoin {
    port: Port,
}

impl<Q: Predicate<Proof = Bytes>> Class<Q> for ThresholdCoin {
    type Terms = ();
    const NAME: &str = "threshold coin";

    fn spec((): &()) -> Spec<Q> {
        Spec::Coin(())
    }

    fn over(port: Port, _: Terms<()>) -> Self {
        Self { port }
    }
}

impl ThresholdCoin {
    /// Releases this member's share, and waits for the coin: for `f + 1` members who toss.
    pub async fn toss(mut self) -> Result<[u8; 32], Stopped> {
        self.port.ask(Say::Coin(coin::Input::Toss)).await?;
        loop {
            if let Told::Coin(coin::Output::Value(value)) = self.port.next().await? {
                return Ok(*value.as_bytes());
            }
        }
    }
}

/// One signature in the name of the group, of what `f + 1` members want signed, in the scheme that the
/// configuration chose for it.
pub struct ThresholdSignature {
    port: Port,
    seat: Seat,
}

impl<Q: Predicate<Proof = Bytes>> Class<Q> for ThresholdSignature {
    type Terms = ();
    const NAME: &str = "threshold signature";

    fn spec((): &()) -> Spec<Q> {
        Spec::Signature(())
    }

    fn over(port: Port, at: Terms<()>) -> Self {
        Self { port, seat: at.seat }
    }
}

impl ThresholdSignature {
    /// Wants this signed, and waits until `f + 1` members want the same. What is wanted first counts.
    pub async fn sign<T: Payload>(&mut self, message: &T) -> Result<Certificate, Stopped> {
        let (label, message) = (Bytes::new(), wire::encode(message));
        self.port.ask(Say::Signature(signature::Input::Sign { label, message })).await?;
        loop {
            if let Told::Signature(signature::Output::Signed(certificate)) =
                self.port.next().await?
            {
                return Ok(certificate);
            }
        }
    }

    /// Whether the group has signed this, in this instance.
    pub fn verify<T: Payload>(&self, message: &T, certificate: &Certificate) -> bool {
        let message = wire::encode(message);
        let (tag, digest) = signature::covered(&self.seat.keys, &self.seat.id, b"", &message);
        self.seat.keys.signature.check(&tag, &digest, certificate)
    }
}

/// Why a ciphertext cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum CipherError {
    /// The payload is too large: it was not encrypted.
    #[error("{len} bytes are more than the {max} that a payload may have")]
    TooLarge {
        /// Its size, in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// There is no chance to be had.
    #[error("no seed to encrypt with: {0}")]
    Seed(#[from] std::io::Error),
    /// It was made for another instance or label, or was changed.
    #[error("the ciphertext was not made for this instance and label")]
    Invalid,
    /// What was in it is nothing of the expected type.
    #[error("what was encrypted cannot be decoded: {0}")]
    Malformed(DecodeError),
    /// The own member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// One ciphertext to the group, which is opened when `f + 1` members want it opened.
pub struct ThresholdCipher {
    port: Port,
    seat: Seat,
}

impl<Q: Predicate<Proof = Bytes>> Class<Q> for ThresholdCipher {
    type Terms = ();
    const NAME: &str = "threshold cipher";

    fn spec((): &()) -> Spec<Q> {
        Spec::Cipher(())
    }

    fn over(port: Port, at: Terms<()>) -> Self {
        Self { port, seat: at.seat }
    }
}

impl ThresholdCipher {
    /// Encrypts to the group, for this instance and a label.
    pub fn encrypt<T: Payload>(&self, label: &str, payload: &T) -> Result<Ciphertext, CipherError> {
        let payload = wire::encode(payload);
        if payload.len() > PAYLOAD_MAX {
            return Err(CipherError::TooLarge { len: payload.len(), max: PAYLOAD_MAX });
        }
        let (keys, seed) = (&self.seat.keys, crate::seed()?);
        Ok(opening::encrypt(keys, &self.seat.id, label.as_bytes(), &payload, &seed))
    }

    /// Wants this opened, and waits until `f + 1` members want the same. An instance opens one.
    pub async fn open<T: Payload>(
        mut self,
        label: &str,
        ciphertext: &Ciphertext,
    ) -> Result<T, CipherError> {
        let (label, ciphertext) = (Bytes::copy_from_slice(label.as_bytes()), ciphertext.clone());
        self.port.ask(Say::Cipher(opening::Input::Open { label, ciphertext })).await?;
        loop {
            match self.port.next().await? {
                Told::Cipher(opening::Output::Opened(payload)) => {
                    return wire::decode(&payload).map_err(CipherError::Malformed);
                }
                Told::Cipher(opening::Output::Invalid) => return Err(CipherError::Invalid),
                _ => {}
            }
        }
    }
}
