//! The file as it is written, before anything is checked.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    CertificateScheme, CipherScheme, CoinScheme, ConfigError, Link, Problem, SignatureScheme,
};

/// The largest text that is read: a thousand times the sample.
const TEXT_MAX: usize = 1 << 20;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "keys")]
    pub(super) keys: String,
    #[serde(default = "data")]
    pub(super) data: String,
    #[serde(default)]
    pub(super) durability: Durability,
    #[serde(default)]
    pub(super) link: Link,
    #[serde(default)]
    pub(super) lab: bool,
    #[serde(default)]
    pub(super) schemes: Schemes,
    #[serde(default)]
    pub(super) clients: Clients,
    #[serde(default)]
    pub(super) group: Vec<Group>,
}

/// `[schemes]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Schemes {
    pub(super) certificates: CertificateScheme,
    pub(super) coin: CoinScheme,
    pub(super) signatures: SignatureScheme,
    pub(super) cipher: CipherScheme,
}

/// `[clients]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Clients {
    pub(super) names: Vec<String>,
    pub(super) open: bool,
}

/// `[[group]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) service: Service,
    /// Checked later, for a better message than that the field is missing.
    pub(super) faults: Option<u16>,
    #[serde(default)]
    pub(super) epoch: u32,
    /// If it is not that of the network.
    pub(super) durability: Option<Durability>,
    #[serde(default)]
    pub(super) members: Vec<String>,
    pub(super) accounts: Option<BTreeMap<String, i64>>,
}

/// What a group runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Service {
    Transactions,
    Accounts,
}

/// What survives a restart.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Durability {
    Memory,
    DiskUnsynced,
    #[default]
    Disk,
}

fn keys() -> String {
    "keys".into()
}

fn data() -> String {
    "data".into()
}

impl File {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > TEXT_MAX {
            let what =
                format!("{} bytes are no configuration: the limit is {TEXT_MAX}", text.len());
            return Err(ConfigError(vec![Problem { line: None, what, help: None }]));
        }
        toml::from_str(text).map_err(|error| ConfigError(vec![Problem::from_toml(&error, text)]))
    }
}
