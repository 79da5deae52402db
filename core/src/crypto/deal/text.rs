//! Key files as text. No error says a word of what stands in them.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    super::{
        Digest, PublicKey, Scheme, SecretKey,
        threshold::{PairingSecret, rsa::RsaSecret},
    },
    public::{CoinPublic, GroupPublic, PublicKeys, SignaturePublic},
    ring::{CoinSecret, MemberSecret, SignatureSecret},
};

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// Room for a key file, the longest line of which is a part of an RSA key, so that it is written without
/// leaving copies behind.
const FILE_ROOM: usize = 4096;

/// Why keys cannot be used. What the file is, and what to do, the one who read it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is damaged or cut off.
    #[error("line {line} cannot be read: the file is damaged, cut off or no key file")]
    Unreadable {
        /// The line, from 1.
        line: usize,
    },
    /// Another version wrote it.
    #[error("it has version {0} of the format, this program reads {VERSION}")]
    Version(u32),
    /// A part is missing.
    #[error("it does not say {0}: it is cut off or no key file")]
    Missing(&'static str),
    /// Made for another configuration.
    #[error("it was dealt for a configuration with other groups, sizes, faults, epochs or schemes")]
    OtherConfig,
    /// Made for another scheme.
    #[error("its `{what}` is of the scheme `{theirs}`, the configuration says `{ours}`")]
    OtherScheme {
        /// The purpose.
        what: &'static str,
        /// The scheme of the keys.
        theirs: String,
        /// The scheme of the configuration.
        ours: Scheme,
    },
    /// Made in another run of the dealer.
    #[error("it belongs to another deal than the public keys")]
    OtherDeal,
    /// Not as the dealer wrote it.
    #[error("it was changed since it was dealt")]
    Changed,
    /// A public key is none, or does not fit the others.
    #[error("a public key is no point of its curve or does not fit the others")]
    NoPoint,
    /// The configuration has no such member.
    #[error("it is the key of a member that the configuration does not have")]
    NoMember,
    /// A secret does not belong to the public key.
    #[error("its secret `{0}` does not belong to the public keys")]
    Foreign(&'static str),
    /// A key that its client made itself.
    #[error("its owner made it, and the configuration admits only dealt ones")]
    Closed,
}

/// Bytes in hexadecimal, public or on their way into a secret: wiped when dropped.
pub(super) struct Hex(pub(super) Zeroizing<Vec<u8>>);

impl Hex {
    pub(super) fn digest(&self) -> Result<Digest, KeyError> {
        self.fixed().map(|bytes| Digest::new(*bytes)).ok_or(KeyError::Missing("a digest"))
    }

    pub(super) fn point(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_bytes(&self.0).map_err(|_| KeyError::NoPoint)
    }

    fn fixed(&self) -> Option<&[u8; 32]> {
        self.0.as_slice().try_into().ok()
    }

    fn identity(&self, what: &'static str) -> Result<SecretKey, KeyError> {
        self.fixed().and_then(SecretKey::from_bytes).ok_or(KeyError::Foreign(what))
    }

    fn pairing(&self, what: &'static str) -> Result<PairingSecret, KeyError> {
        self.fixed().and_then(PairingSecret::from_bytes).ok_or(KeyError::Foreign(what))
    }
}

impl AsRef<[u8]> for Hex {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        unhex(&text).map(Self).ok_or_else(|| serde::de::Error::custom("no hexadecimal digits"))
    }
}

/// Bytes in hexadecimal, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

/// Lower case only, so that a value has one text.
fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for pair in pairs {
        let [high, low] = pair else { return None };
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

/// A key file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    pub(super) version: u32,
    pub(super) deal: Option<Hex>,
    pub(super) config: Option<Hex>,
    pub(super) group: Option<String>,
    pub(super) member: Option<u16>,
    pub(super) client: Option<String>,
    identity: Option<Hex>,
    quorum: Option<Hex>,
    service: Option<Hex>,
    signature: Option<Hex>,
    coin: Option<Hex>,
    cipher: Option<Hex>,
}

impl KeyFile {
    pub(super) fn identity(&self) -> Result<SecretKey, KeyError> {
        self.identity.as_ref().ok_or(KeyError::Missing("identity"))?.identity("identity")
    }

    pub(super) fn member_secret(&self, group: &GroupPublic) -> Result<MemberSecret, KeyError> {
        let coin = self.coin.as_ref().ok_or(KeyError::Missing("coin"))?;
        let cipher = self.cipher.as_ref().ok_or(KeyError::Missing("cipher"))?;
        Ok(MemberSecret {
            identity: self.identity()?,
            quorum: self.quorum.as_ref().map(|hex| hex.pairing("quorum")).transpose()?,
            service: self.service.as_ref().map(|hex| hex.pairing("service")).transpose()?,
            signature: self.signature(group)?,
            coin: match group.coin {
                CoinPublic::Ddh(_) => CoinSecret::Ddh(coin.identity("coin")?),
                CoinPublic::Pairing(_) => CoinSecret::Pairing(coin.pairing("coin")?),
            },
            cipher: cipher.pairing("cipher")?,
        })
    }
}

impl KeyFile {
    fn signature(&self, group: &GroupPublic) -> Result<Option<SignatureSecret>, KeyError> {
        const NAME: &str = "signature";
        let given = || self.signature.as_ref().ok_or(KeyError::Missing(NAME));
        Ok(match &group.signature {
            SignaturePublic::Multisig if self.signature.is_some() => {
                return Err(KeyError::Foreign(NAME));
            }
            SignaturePublic::Multisig => None,
            SignaturePublic::Pairing(_) => Some(SignatureSecret::Pairing(given()?.pairing(NAME)?)),
            SignaturePublic::Rsa(_) => {
                let secret = RsaSecret::from_bytes(&given()?.0).ok_or(KeyError::Foreign(NAME))?;
                Some(SignatureSecret::Rsa(secret))
            }
        })
    }
}

/// Reads a file. What the parser says is dropped but for the line: it may quote a secret.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, KeyError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        KeyError::Unreadable { line: 1 + text.get(..start).unwrap_or(text).matches('\n').count() }
    })
}

pub(super) fn version(version: u32) -> Result<(), KeyError> {
    if version == VERSION { Ok(()) } else { Err(KeyError::Version(version)) }
}

/// The file of a member.
pub(super) fn member_file(
    public: &PublicKeys,
    group: &GroupPublic,
    place: usize,
    secret: &MemberSecret,
) -> Zeroizing<String> {
    let owner = format!("group = \"{}\"\nmember = {place}\n", group.name);
    let mut file = head(&format!("{}[{place}]", group.name), Some(public), &owner);
    line(&mut file, "identity", &*secret.identity.to_bytes());
    for (name, secret) in [("quorum", &secret.quorum), ("service", &secret.service)] {
        if let Some(secret) = secret {
            line(&mut file, name, &*secret.to_bytes());
        }
    }
    match &secret.signature {
        Some(SignatureSecret::Pairing(secret)) => line(&mut file, "signature", &*secret.to_bytes()),
        Some(SignatureSecret::Rsa(secret)) => line(&mut file, "signature", &secret.to_bytes()),
        None => {}
    }
    match &secret.coin {
        CoinSecret::Ddh(secret) => line(&mut file, "coin", &*secret.to_bytes()),
        CoinSecret::Pairing(secret) => line(&mut file, "coin", &*secret.to_bytes()),
    }
    line(&mut file, "cipher", &*secret.cipher.to_bytes());
    file
}

/// The file of a client, dealt or self-made.
pub(super) fn client_file(
    public: Option<&PublicKeys>,
    name: &str,
    secret: &SecretKey,
) -> Zeroizing<String> {
    let name: String = name.chars().filter(|c| !c.is_control() && !"\"\\".contains(*c)).collect();
    let mut file = head(&format!("client {name}"), public, &format!("client = \"{name}\"\n"));
    line(&mut file, "identity", &*secret.to_bytes());
    file
}

/// What stands above the secrets.
fn head(whose: &str, public: Option<&PublicKeys>, owner: &str) -> Zeroizing<String> {
    let dealt = public.map_or_else(String::new, |public| {
        let (deal, config) = (hex(public.name().as_bytes()), hex(public.config().as_bytes()));
        format!("deal = \"{deal}\"\nconfig = \"{config}\"\n")
    });
    let mut file = Zeroizing::new(String::with_capacity(FILE_ROOM));
    file.push_str("# SECRET keys of ");
    file.push_str(whose);
    file.push_str(": whoever reads them can act in its name. Keep one copy, mode 0600.\n");
    for part in ["version = ", &VERSION.to_string(), "\n", &dealt, owner] {
        file.push_str(part);
    }
    file
}

fn line(file: &mut String, name: &str, secret: &[u8]) {
    let secret = Zeroizing::new(hex(secret));
    for part in [name, " = \"", &secret, "\"\n"] {
        file.push_str(part);
    }
}
