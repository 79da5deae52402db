//! One TOML file that says who is there and what they run; see [`Config::sample`].
//!
//! A [`Config`] cannot be wrong: it is made by [`Config::parse`] only, which says everything that is
//! wrong at once, and where. It holds nothing secret and reads no file.

mod check;
mod explain;
mod file;
mod problem;

use std::{collections::BTreeMap, fmt, sync::Arc};

pub use problem::{ConfigError, Problem};
use serde::Deserialize;

use crate::{
    crypto::{Digest, Scheme},
    id::{Epoch, GroupId, PartyId},
    seat::Directory,
    thresholds::Thresholds,
    wire,
};

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    groups: Vec<GroupConfig>,
    clients: Clients,
    keys: String,
    data: String,
    durability: Durability,
    link: Link,
    schemes: Schemes,
    lab: bool,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Its place in the configuration.
    pub id: GroupId,
    /// Its name.
    pub name: Arc<str>,
    /// What it runs.
    pub service: ServiceConfig,
    /// Its size and the faults that it tolerates.
    pub thresholds: Thresholds,
    /// The version of its membership and keys.
    pub epoch: Epoch,
    /// What of its members survives a restart: its own word, or that of the network.
    pub durability: Durability,
    /// Where each member listens, in the order of the members.
    pub members: Vec<Address>,
}

impl GroupConfig {
    /// Where a member listens.
    pub fn address(&self, party: PartyId) -> Option<&Address> {
        self.members.get(party.index())
    }

    /// How a member is called: `left[2]`.
    pub fn member_name(&self, party: PartyId) -> String {
        format!("{}[{}]", self.name, party.index())
    }
}

/// What a group runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceConfig {
    /// It decides on transactions.
    Transactions,
    /// It keeps accounts, with these amounts at first, none of which is negative.
    Accounts(BTreeMap<Arc<str>, i64>),
}

/// Where a member listens: a name or number of a host, and a port other than 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The host, without the brackets of an IPv6 number.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Who may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Those for whom the dealer makes keys.
    pub names: Vec<Arc<str>>,
    /// Whether others may come with keys of their own.
    pub open: bool,
}

/// What survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing.
    Memory,
    /// What was logged; with `sync`, even if the machine fails.
    Disk {
        /// Whether a record is on the disk before what follows from it is sent.
        sync: bool,
    },
}

/// What carries the frames between machines, the same everywhere in a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// TCP: every frame has an authenticator, nothing is secret, whoever can forge segments can make
    /// connections fall.
    #[default]
    Tcp,
    /// QUIC: the same inside TLS over UDP, which only hosts on the way can cut.
    Quic,
}

/// How certificates are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateScheme {
    /// A vector of ordinary signatures.
    #[default]
    Multisig,
    /// One signature over pairings.
    Pairing,
    /// The same with the library `blst`: needs the feature `blst`.
    PairingBlst,
}

/// How common coins are tossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoinScheme {
    /// Diffie and Hellman's assumption on P-256.
    #[default]
    Ddh,
    /// A unique signature over pairings.
    Pairing,
    /// The same with the library `blst`: needs the feature `blst`.
    PairingBlst,
}

/// How a group signs messages for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// A vector of ordinary signatures.
    #[default]
    Multisig,
    /// One signature over pairings.
    Pairing,
    /// RSA, which every other program verifies.
    Rsa,
    /// As `Pairing`, with the library `blst`: needs the feature `blst`.
    PairingBlst,
}

/// How payloads are kept secret until they are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CipherScheme {
    /// Over pairings.
    #[default]
    Pairing,
    /// The same with the library `blst`: needs the feature `blst`.
    PairingBlst,
}

impl CertificateScheme {
    /// What marks its shares.
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::Multisig => Scheme::Multisig,
            Self::Pairing => Scheme::Pairing,
            Self::PairingBlst => Scheme::PairingBlst,
        }
    }
}

impl CoinScheme {
    /// What marks its shares.
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::Ddh => Scheme::Ddh,
            Self::Pairing => Scheme::Pairing,
            Self::PairingBlst => Scheme::PairingBlst,
        }
    }
}

impl SignatureScheme {
    /// What marks its shares.
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::Multisig => Scheme::Multisig,
            Self::Pairing => Scheme::Pairing,
            Self::Rsa => Scheme::Rsa,
            Self::PairingBlst => Scheme::PairingBlst,
        }
    }
}

impl CipherScheme {
    /// What marks its ciphertexts and shares.
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::Pairing => Scheme::Pairing,
            Self::PairingBlst => Scheme::PairingBlst,
        }
    }
}

/// The choice of schemes, the same in all groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schemes {
    /// How certificates are made.
    pub certificates: CertificateScheme,
    /// How common coins are tossed.
    pub coin: CoinScheme,
    /// How messages are signed for others.
    pub signatures: SignatureScheme,
    /// How payloads are kept secret until they are ordered.
    pub cipher: CipherScheme,
}

impl Config {
    /// The configuration that this text describes, or everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        check::check(file::File::parse(text)?)
    }

    /// A complete configuration with comments: what `maftia config init` prints.
    pub const fn sample() -> &'static str {
        include_str!("config/sample.toml")
    }

    /// What follows from the configuration, for people.
    pub fn explain(&self) -> String {
        explain::explain(self)
    }

    /// The groups, in order: ids are places.
    pub fn groups(&self) -> &[GroupConfig] {
        &self.groups
    }

    /// The group with this id.
    pub fn group(&self, id: GroupId) -> Option<&GroupConfig> {
        self.groups.get(id.index())
    }

    /// The group with this name.
    pub fn named(&self, name: &str) -> Option<&GroupConfig> {
        self.groups.iter().find(|group| &*group.name == name)
    }

    /// The group that decides on transactions, if there is one.
    pub fn transactions(&self) -> Option<&GroupConfig> {
        self.groups.iter().find(|group| group.service == ServiceConfig::Transactions)
    }

    /// Who may ask.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The folder of the key files, relative to the configuration's.
    pub fn keys(&self) -> &str {
        &self.keys
    }

    /// The folder of logs and checkpoints, relative to the configuration's.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// What survives a restart in groups that do not say so themselves.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// What carries the frames.
    pub fn link(&self) -> Link {
        self.link
    }

    /// The choice of schemes.
    pub fn schemes(&self) -> Schemes {
        self.schemes
    }

    /// Whether faults may be injected over the network.
    pub fn lab(&self) -> bool {
        self.lab
    }

    /// The groups as protocols see them.
    pub fn directory(&self) -> Directory {
        Directory::new(self.groups.iter().map(|group| (Arc::clone(&group.name), group.thresholds)))
    }

    /// The digest of what keys are made for: names, sizes, faults, model and epoch of all groups, and
    /// the schemes. Addresses, links, clients, folders, durability and services may change under the same keys.
    pub fn digest(&self) -> Digest {
        let group = |group: &GroupConfig| {
            let (n, f) = (group.thresholds.n(), group.thresholds.f());
            (group.name.to_string(), n, f, "asynchronous", group.epoch)
        };
        let groups: Vec<_> = self.groups.iter().map(group).collect();
        let Schemes { certificates, coin, signatures, cipher } = self.schemes;
        let schemes = [certificates.scheme(), coin.scheme(), signatures.scheme(), cipher.scheme()]
            .map(|scheme| scheme as u8);
        Digest::of("configuration", &wire::encode(&(groups, schemes)))
    }
}

#[cfg(test)]
mod tests;
