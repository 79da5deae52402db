//! The right to join a transaction: who holds the token may sign itself in.
//!
//! BEGIN carries a fresh public key, the token holds the seed of its private half, and JOIN is signed
//! with it over the transaction and the joiner. So replicas never see a secret, a JOIN that is seen
//! on the way is worth nothing to anybody else, and the transaction's name alone opens nothing.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use maftia_core::{crypto::Digest, id::ClientId};
use p256::ecdsa::{
    Signature, SigningKey, VerifyingKey,
    signature::{Signer, Verifier},
};
use serde::{Deserialize, Serialize};

use crate::transaction::{BadTxId, TxId};

/// 128 fresh random bits, from which the private key of a token grows. Secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 16]);

impl Seed {
    /// The seed with these bytes. They must be fresh and secret.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The public key that BEGIN carries.
    pub fn public(&self) -> JoinKey {
        JoinKey(Bytes::copy_from_slice(self.private().verifying_key().to_sec1_point(true).as_ref()))
    }

    fn private(&self) -> SigningKey {
        (0..=u8::MAX)
            .map(|attempt| Digest::of_parts("transaction token", &[&self.0, &[attempt]]))
            .find_map(|scalar| SigningKey::from_slice(scalar.as_bytes()).ok())
            .expect("one digest in 2^32 is no scalar, 256 in a row never happen")
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The public half of a token: a compressed point of P-256, as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinKey(Bytes);

impl JoinKey {
    /// The length of a compressed point, in bytes.
    pub const LEN: usize = 33;

    /// Whether it has the length of a key. A rubbish one only keeps everybody out.
    pub fn is_key_sized(&self) -> bool {
        self.0.len() == Self::LEN
    }

    /// Whether `proof` lets `joiner` into `tx`. Pure, and the same at every replica.
    pub fn admits(&self, tx: TxId, joiner: ClientId, proof: &JoinProof) -> bool {
        let key = VerifyingKey::from_sec1_bytes(&self.0);
        let signature = Signature::from_slice(&proof.0);
        match (key, signature) {
            (Ok(key), Ok(signature)) => {
                key.verify(statement(tx, joiner).as_bytes(), &signature).is_ok()
            }
            _ => false,
        }
    }
}

/// A signature over a transaction and the client that joins it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinProof(Bytes);

/// What JOIN signs.
fn statement(tx: TxId, joiner: ClientId) -> Digest {
    let manager = (tx.manager().index() as u64).to_le_bytes();
    Digest::of_parts("join", &[&manager, &tx.number().to_le_bytes(), joiner.as_bytes()])
}

/// What one client hands to another, so that it can join: `7Q-4C19-..`. Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    tx: TxId,
    seed: Seed,
}

impl Token {
    /// The token of the transaction that was begun with this seed.
    pub const fn new(tx: TxId, seed: Seed) -> Self {
        Self { tx, seed }
    }

    /// The transaction that it opens.
    pub const fn tx(&self) -> TxId {
        self.tx
    }

    /// Lets `joiner` in, and nobody else.
    pub fn prove(&self, joiner: ClientId) -> JoinProof {
        let signature: Signature = self.seed.private().sign(statement(self.tx, joiner).as_bytes());
        JoinProof(Bytes::copy_from_slice(&signature.to_bytes()))
    }

    /// The last group of the printed token: tells a typing error from a wrong token.
    fn check(&self) -> u16 {
        let number = self.tx.number().to_le_bytes();
        let digest = Digest::of_parts("printed token", &[&number, &self.seed.0]);
        u16::from_be_bytes([digest.as_bytes()[0], digest.as_bytes()[1]])
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tx)?;
        for pair in self.seed.0.chunks(2) {
            write!(f, "-{:02X}{:02X}", pair[0], pair[1])?;
        }
        write!(f, "-{:04X}", self.check())
    }
}

/// The text is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Its first part names no transaction.
    #[error(transparent)]
    Transaction(#[from] BadTxId),
    /// Too few or too many groups: only part of it was copied, or more than it.
    #[error("a token has a name and 9 groups of 4 letters after it, this one has {0}")]
    Length(usize),
    /// A group is not hexadecimal.
    #[error("`{0}` is no group of a token: each has 4 of the letters 0-9 and A-F")]
    Group(String),
    /// The check group does not fit.
    #[error("the token is mistyped: its last group does not fit the ones before it")]
    Mistyped,
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let mut parts = text.trim().split('-');
        let tx: TxId = parts.next().unwrap_or_default().parse()?;
        let count = parts.clone().count();
        if count != 9 {
            return Err(BadToken::Length(count));
        }
        let mut seed = [0; 16];
        let mut groups = parts.map(group);
        for pair in seed.chunks_mut(2) {
            pair.copy_from_slice(
                &groups.next().unwrap_or(Err(BadToken::Length(count)))?.to_be_bytes(),
            );
        }
        let check = groups.next().unwrap_or(Err(BadToken::Length(count)))?;
        let token = Self::new(tx, Seed(seed));
        if token.check() == check { Ok(token) } else { Err(BadToken::Mistyped) }
    }
}

fn group(text: &str) -> Result<u16, BadToken> {
    let hex = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bad = || BadToken::Group(text.chars().take(20).collect());
    if hex { u16::from_str_radix(text, 16).map_err(|_| bad()) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use maftia_core::id::GroupId;

    use super::*;

    fn client(name: &str) -> ClientId {
        ClientId::of_key(&Digest::of("test", name.as_bytes()))
    }

    fn token(number: u64) -> Token {
        Token::new(TxId::new(GroupId::new(0), number), Seed::new([number as u8; 16]))
    }

    #[test]
    fn a_token_lets_in_whom_it_signs_for_and_into_its_transaction_only() {
        let (key, tx) = (token(7).seed.public(), token(7).tx());
        let proof = token(7).prove(client("bob"));
        assert!(key.is_key_sized());
        assert!(key.admits(tx, client("bob"), &proof));
        assert!(!key.admits(tx, client("eve"), &proof));
        assert!(!key.admits(token(8).tx(), client("bob"), &proof));
        assert!(!token(8).seed.public().admits(tx, client("bob"), &proof));
        assert!(!key.admits(tx, client("bob"), &JoinProof(Bytes::from_static(b"short"))));
        assert!(!JoinKey(Bytes::from_static(&[7; 33])).admits(tx, client("bob"), &proof));
    }

    #[test]
    fn printed_tokens_read_back_and_name_what_is_wrong() {
        let text = token(7).to_string();
        assert_eq!(text.parse(), Ok(token(7)));
        assert_eq!(text.to_lowercase().parse(), Ok(token(7)));
        assert_eq!(text[..text.len() - 5].parse::<Token>(), Err(BadToken::Length(8)));
        assert_eq!("7".parse::<Token>(), Err(BadTxId::Shape("7".into()).into()));
        let mistyped = text.replacen("0707", "0717", 1);
        assert_eq!(mistyped.parse::<Token>(), Err(BadToken::Mistyped));
        let strange = text.replacen("0707", "07X7", 1);
        assert_eq!(strange.parse::<Token>(), Err(BadToken::Group("07X7".into())));
        assert!(!format!("{:?}", token(7)).contains('7'.to_string().repeat(2).as_str()));
    }
}
