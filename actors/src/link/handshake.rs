//! How two owners prove to each other who they are, and agree on the keys of one line.
//!
//! | | message | says |
//! |---|---|---|
//! | dialer | `Hello` | protocol version, both owners, the digest of the configuration, a fresh key |
//! | listener | `Welcome` | a fresh key; or why not |
//! | dialer | `Proof` | its signature over the digest of both messages |
//! | listener | `Proof` | its own signature over the same, in another domain |
//!
//! The signatures cover every byte that either side said, so nothing can be talked down, and both
//! names, so neither side can be led to believe that it talks to a third one. The keys come from the
//! two fresh ones, which are forgotten with the line. The listener does no signing for whoever has
//! not proved to be somebody: what a stranger can make it do is one key pair and one check.

use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;
use maftia_core::{
    crypto::{Digest, Identity, PublicKey, Signature},
    id::{ClientId, Epoch, GroupId},
    path::{InstanceId, Tag},
    seat::Owner,
    wire::{self, DecodeError},
};
use p256::SecretKey;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    packet::{HANDSHAKE_MAX, Seals},
    wire::End,
};

/// The version of everything from here to the contents of frames. There is one, so nothing is
/// negotiated.
pub const PROTOCOL: u16 = 1;

/// The name under which handshakes are signed. No configured name has a slash.
const DOMAIN: &str = "maftia/link";

/// Who we are in a handshake, and whom we know.
#[derive(Clone)]
pub struct Passport {
    /// Us.
    pub me: Owner,
    /// Our keys, and those of all others.
    pub identity: Arc<dyn Identity>,
    /// The digest of the configuration that all share.
    pub network: Digest,
    /// Everybody whom the configuration names.
    pub known: Arc<BTreeSet<Owner>>,
    /// Our public key, for listeners that do not know us.
    pub key: Option<Bytes>,
    /// Judges clients whom the configuration does not name. `None`: they are refused.
    pub guests: Option<Guests>,
}

/// Judges the proof of a client that the configuration does not name: whether these bytes are a
/// public key, have the digest that the client is named by, and made this signature.
pub type Guests = Arc<dyn Fn(ClientId, &[u8], &Tag, &Digest, &Signature) -> bool + Send + Sync>;

/// Admits whoever has the key by whose digest it is named. Nothing is remembered of it.
pub fn guests() -> Guests {
    Arc::new(|client, key, tag, digest, signature| {
        PublicKey::from_bytes(key)
            .is_ok_and(|key| key.client() == client && key.verifies(tag, digest, signature))
    })
}

/// Why there is no line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The other side speaks another version.
    #[error("speaks version {0} of the protocol, this is version {PROTOCOL}")]
    Version(u16),
    /// It was made for somebody else: an address in the configuration is wrong.
    #[error("was meant for somebody else: check the addresses in the configuration")]
    Addressee,
    /// The configurations differ.
    #[error(
        "has another configuration or other keys: use the same file and public.toml everywhere, or deal again"
    )]
    Configuration,
    /// The listener does not know the dialer.
    #[error("is not in the configuration, which is not open to unknown clients")]
    Stranger,
    /// There are too many at the moment.
    #[error("was turned away because too many are connected; it may try again")]
    Busy,
    /// The proof does not hold: somebody uses a name without its key, or the bytes were changed.
    #[error("did not prove to be who it says")]
    Proof,
    /// Bytes that are no message of a handshake.
    #[error("did not speak the protocol of links")]
    Garbage,
}

impl From<DecodeError> for Refusal {
    fn from(_: DecodeError) -> Self {
        Self::Garbage
    }
}

#[derive(Serialize, Deserialize)]
struct Hello {
    version: u16,
    from: Owner,
    to: Owner,
    network: Digest,
    fresh: Bytes,
    key: Option<Bytes>,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Welcome { fresh: Bytes },
    Refused(Refusal),
}

/// Refuses as [`Answer`] does, so that whoever refuses need not know how far the other side is.
#[derive(Serialize, Deserialize)]
enum Verdict {
    Proof(Signature),
    Refused(Refusal),
}

/// The seals of a new line.
pub(super) struct Keys {
    pub(super) outgoing: Seals,
    pub(super) incoming: Seals,
}

/// A refusal, as the other side is told it.
pub(super) fn refused(refusal: &Refusal) -> Bytes {
    wire::encode(&Answer::Refused(refusal.clone()))
}

/// The first words that no other protocol begins with. The version stands here, at a fixed place.
fn greet(hello: &Hello) -> Bytes {
    let mut bytes = b"maftia link ".to_vec();
    bytes.extend_from_slice(&PROTOCOL.to_le_bytes());
    bytes.extend_from_slice(&wire::encode(hello));
    bytes.into()
}

/// Reads the first message, the version first, because another one may go on differently.
fn greeted(bytes: &[u8]) -> Result<Hello, Refusal> {
    let rest = bytes.strip_prefix(b"maftia link ").ok_or(Refusal::Garbage)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(Refusal::Garbage)?;
    match u16::from_le_bytes(*version) {
        PROTOCOL => read(rest),
        other => Err(Refusal::Version(other)),
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.len() > HANDSHAKE_MAX { Err(Refusal::Garbage) } else { Ok(wire::decode(bytes)?) }
}

/// A key pair for one line.
fn fresh() -> SecretKey {
    loop {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).expect("the operating system has randomness");
        // Fails for zero and for what is above the order: once in 2^32 tries.
        if let Ok(key) = SecretKey::from_slice(bytes.as_ref()) {
            return key;
        }
    }
}

/// What both sides sign, each in its own domain, and mix into the keys.
struct Transcript(Digest);

impl Transcript {
    fn of(hello: &[u8], welcome: &[u8]) -> Self {
        Self(Digest::of_parts("link handshake", &[hello, welcome]))
    }

    fn tag(side: &str) -> Tag {
        InstanceId::root(GroupId::new(0), Epoch::FIRST, DOMAIN).tag(side)
    }

    /// The keys of the two directions: what the dialer sends, and what the listener sends.
    fn keys(&self, own: &SecretKey, other: &[u8]) -> Result<(Seals, Seals), Refusal> {
        let other = p256::PublicKey::from_sec1_bytes(other).map_err(|_| Refusal::Garbage)?;
        let shared = own.diffie_hellman(&other);
        let derive = |side: &str| {
            let mut hasher = blake3::Hasher::new_derive_key(side);
            hasher.update(shared.raw_secret_bytes());
            hasher.update(self.0.as_bytes());
            Seals::new(*hasher.finalize().as_bytes())
        };
        Ok((derive("maftia/v1/link from dialer"), derive("maftia/v1/link from listener")))
    }
}

/// The dialer, after its first message.
pub(super) struct Dialing {
    to: Owner,
    own: SecretKey,
    hello: Bytes,
}

/// The dialer, after its proof.
pub(super) struct Proving {
    to: Owner,
    transcript: Transcript,
    keys: Keys,
}

/// The listener, after its first message.
pub(super) struct Listening {
    from: Owner,
    key: Option<Bytes>,
    transcript: Transcript,
    keys: Keys,
}

impl Dialing {
    /// Begins, and gives the first message.
    pub(super) fn start(passport: &Passport, to: Owner) -> (Self, Bytes) {
        let own = fresh();
        let hello = greet(&Hello {
            version: PROTOCOL,
            from: passport.me,
            to,
            network: passport.network,
            fresh: Bytes::from(own.public_key().to_sec1_bytes()),
            key: passport.key.clone(),
        });
        (Self { to, own, hello: hello.clone() }, hello)
    }

    /// Takes the listener's answer, and gives the proof.
    pub(super) fn answered(
        self,
        passport: &Passport,
        answer: &[u8],
    ) -> Result<(Proving, Bytes), End> {
        let theirs = match read(answer)? {
            Answer::Welcome { fresh } => fresh,
            Answer::Refused(refusal) => return Err(End::RefusedUs(refusal)),
        };
        let transcript = Transcript::of(&self.hello, answer);
        let (outgoing, incoming) = transcript.keys(&self.own, &theirs)?;
        let signature = passport.identity.sign(&Transcript::tag("dialer"), &transcript.0);
        let proof = wire::encode(&Verdict::Proof(signature));
        Ok((Proving { to: self.to, transcript, keys: Keys { outgoing, incoming } }, proof))
    }
}

impl Proving {
    /// Takes the listener's proof.
    pub(super) fn proved(self, passport: &Passport, proof: &[u8]) -> Result<Keys, End> {
        let signature = match read(proof)? {
            Verdict::Proof(signature) => signature,
            Verdict::Refused(refusal) => return Err(End::RefusedUs(refusal)),
        };
        let tag = Transcript::tag("listener");
        if !passport.identity.verify(self.to, &tag, &self.transcript.0, &signature) {
            return Err(Refusal::Proof.into());
        }
        Ok(self.keys)
    }
}

impl Listening {
    /// Refuses the first message for everything that can be seen without computing anything; gives
    /// who says to have sent it.
    pub(super) fn judge(passport: &Passport, hello: &[u8]) -> Result<Owner, Refusal> {
        Self::judged(passport, hello).map(|said| said.from)
    }

    fn judged(passport: &Passport, hello: &[u8]) -> Result<Hello, Refusal> {
        let said = greeted(hello)?;
        if said.to != passport.me || said.from == passport.me {
            return Err(Refusal::Addressee);
        }
        if said.network != passport.network {
            return Err(Refusal::Configuration);
        }
        let guest = matches!(said.from, Owner::Client(_)) && passport.guests.is_some();
        let may_prove = passport.known.contains(&said.from) || (guest && said.key.is_some());
        if may_prove { Ok(said) } else { Err(Refusal::Stranger) }
    }

    /// Takes the first message.
    pub(super) fn start(passport: &Passport, hello: &[u8]) -> Result<(Self, Bytes), Refusal> {
        let said = Self::judged(passport, hello)?;
        let own = fresh();
        let answer =
            wire::encode(&Answer::Welcome { fresh: Bytes::from(own.public_key().to_sec1_bytes()) });
        let transcript = Transcript::of(hello, &answer);
        let (incoming, outgoing) = transcript.keys(&own, &said.fresh)?;
        let keys = Keys { outgoing, incoming };
        Ok((Self { from: said.from, key: said.key, transcript, keys }, answer))
    }

    /// Takes the dialer's proof, and gives its own: with this the line stands.
    pub(super) fn proved(
        self,
        passport: &Passport,
        proof: &[u8],
    ) -> Result<(Owner, Keys, Bytes), Refusal> {
        let Verdict::Proof(signature) = read(proof)? else { return Err(Refusal::Proof) };
        let tag = Transcript::tag("dialer");
        if !passport.believes(self.from, self.key.as_deref(), &tag, &self.transcript.0, &signature)
        {
            return Err(Refusal::Proof);
        }
        let signature = passport.identity.sign(&Transcript::tag("listener"), &self.transcript.0);
        Ok((self.from, self.keys, wire::encode(&Verdict::Proof(signature))))
    }
}

impl Passport {
    /// Whether `owner` made this signature: a known one under the key that all know, a guest under
    /// the key that it brought.
    fn believes(
        &self,
        owner: Owner,
        key: Option<&[u8]>,
        tag: &Tag,
        digest: &Digest,
        signature: &Signature,
    ) -> bool {
        if self.known.contains(&owner) {
            return self.identity.verify(owner, tag, digest, signature);
        }
        match (owner, key, &self.guests) {
            (Owner::Client(client), Some(key), Some(guests)) => {
                guests(client, key, tag, digest, signature)
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Passport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passport").field("me", &self.me).finish_non_exhaustive()
    }
}
