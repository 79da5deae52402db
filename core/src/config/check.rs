//! From what is written to what can be run, or to a list of all that is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Address, Clients, Config, ConfigError, Durability, GroupConfig, Problem, Schemes,
    ServiceConfig, file,
};
use crate::{
    crypto::Scheme,
    id::{Epoch, GroupId},
    thresholds::Thresholds,
};

/// The most groups: each pair of members of different groups may have a link.
const GROUPS_MAX: usize = 64;
/// The most members of a group: every step of an agreement takes `n * n` messages.
const MEMBERS_MAX: usize = 100;
/// The most clients with dealt keys.
const CLIENTS_MAX: usize = 1000;
/// The longest name.
const NAME_MAX: usize = 32;
/// Names that mean something else: key files are named `public.toml`, `client-NAME.key`.
const RESERVED: [&str; 4] = ["client", "public", "group", "all"];

/// Collects what is wrong.
#[derive(Default)]
struct Checks {
    problems: Vec<Problem>,
    addresses: BTreeMap<Address, String>,
}

pub(super) fn check(file: file::File) -> Result<Config, ConfigError> {
    let mut checks = Checks::default();
    let groups = checks.groups(file.group, file.durability.into());
    let clients = checks.clients(file.clients);
    let schemes = checks.schemes(&file.schemes);
    checks.folder("keys", &file.keys);
    checks.folder("data", &file.data);
    if !checks.problems.is_empty() {
        return Err(ConfigError(checks.problems));
    }
    Ok(Config {
        groups,
        clients,
        keys: file.keys,
        data: file.data,
        durability: file.durability.into(),
        link: file.link,
        schemes,
        lab: file.lab,
    })
}

impl From<file::Durability> for Durability {
    fn from(file: file::Durability) -> Self {
        match file {
            file::Durability::Memory => Self::Memory,
            file::Durability::DiskUnsynced => Self::Disk { sync: false },
            file::Durability::Disk => Self::Disk { sync: true },
        }
    }
}

impl Checks {
    fn wrong(&mut self, what: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(what, help));
    }

    /// What was not built in cannot be run, and is not replaced in silence.
    fn schemes(&mut self, file: &file::Schemes) -> Schemes {
        let file::Schemes { certificates, coin, signatures, cipher } = *file;
        let chosen = [
            ("certificates", certificates.scheme()),
            ("coin", coin.scheme()),
            ("signatures", signatures.scheme()),
            ("cipher", cipher.scheme()),
        ];
        for (what, scheme) in chosen {
            if scheme == Scheme::PairingBlst && cfg!(not(feature = "blst")) {
                self.wrong(
                    format!(
                        "`{what} = \"{scheme}\"` needs the feature `blst`, which is not built in"
                    ),
                    "build with `--features blst`, or say \"pairing\"",
                );
            }
        }
        Schemes { certificates, coin, signatures, cipher }
    }

    fn groups(&mut self, groups: Vec<file::Group>, usual: Durability) -> Vec<GroupConfig> {
        if groups.is_empty() {
            self.wrong("there is no group", "`maftia config init` prints a complete sample");
        }
        if groups.len() > GROUPS_MAX {
            self.wrong(
                format!("{} groups are too many", groups.len()),
                format!("at most {GROUPS_MAX} can be run"),
            );
        }
        self.distinct("groups", groups.iter().map(|group| &group.name));
        self.roles(&groups);
        let mut checked = Vec::new();
        for (place, group) in groups.into_iter().take(GROUPS_MAX).enumerate() {
            checked.extend(self.group(GroupId::new(place as u16), group, usual));
        }
        checked
    }

    /// One group decides on transactions if any keeps what they are about.
    fn roles(&mut self, groups: &[file::Group]) {
        let of = |service| groups.iter().filter(move |group| group.service == service);
        let managers: Vec<_> =
            of(file::Service::Transactions).map(|group| format!("`{}`", group.name)).collect();
        if managers.len() > 1 {
            self.wrong(
                format!("the groups {} all decide on transactions", managers.join(", ")),
                "leave `service = \"transactions\"` to one of them",
            );
        }
        if let (0, Some(group)) = (managers.len(), of(file::Service::Accounts).next()) {
            self.wrong(
                format!(
                    "group `{}` keeps accounts, but no group decides on transactions",
                    group.name
                ),
                "add a group with `service = \"transactions\"`",
            );
        }
    }

    fn group(&mut self, id: GroupId, group: file::Group, usual: Durability) -> Option<GroupConfig> {
        self.name("group", &group.name);
        if RESERVED.contains(&group.name.as_str()) {
            self.wrong(
                format!("group `{}`: the name is reserved", group.name),
                format!("reserved are {}", RESERVED.join(", ")),
            );
        }
        let members = self.members(&group);
        let thresholds = self.thresholds(&group);
        let service = self.service(&group);
        Some(GroupConfig {
            id,
            name: group.name.into(),
            service,
            thresholds: thresholds?,
            epoch: Epoch::new(group.epoch),
            durability: group.durability.map_or(usual, Durability::from),
            members,
        })
    }

    fn thresholds(&mut self, group: &file::Group) -> Option<Thresholds> {
        let (name, count) = (&group.name, group.members.len());
        let tolerated = count.saturating_sub(1) / 3;
        let faults = |f: usize| format!("{f} fault{}", if f == 1 { "" } else { "s" });
        let Some(f) = group.faults else {
            self.wrong(
                format!("group `{name}`: how many faults it shall tolerate is not said"),
                format!("{count} members tolerate {}: `faults = {tolerated}`", faults(tolerated)),
            );
            return None;
        };
        if count == 0 || count > MEMBERS_MAX {
            self.wrong(
                format!("group `{name}`: {count} members"),
                format!("a group has 1 to {MEMBERS_MAX}: `members = [\"HOST:PORT\", ..]`"),
            );
            return None;
        }
        let needed = 3 * usize::from(f) + 1;
        Thresholds::asynchronous(count as u16, f)
            .map_err(|_| {
                self.wrong(
                    format!(
                        "group `{name}`: {count} parties tolerate {}, `faults = {f}` needs {needed}",
                        faults(tolerated)
                    ),
                    format!("add {} members or say `faults = {tolerated}`", needed - count),
                );
            })
            .ok()
    }

    fn members(&mut self, group: &file::Group) -> Vec<Address> {
        let mut members = Vec::new();
        for (place, text) in group.members.iter().enumerate() {
            let member = format!("{}[{place}]", group.name);
            let Some(address) = address(text) else {
                self.wrong(
                    format!("`{}` is no address of {member}", shown(text)),
                    "an address is HOST:PORT, such as \"127.0.0.1:7400\" or \"[::1]:7400\"",
                );
                continue;
            };
            if let Some(first) = self.addresses.insert(address.clone(), member.clone()) {
                self.wrong(
                    format!("{first} and {member} have the same address {address}"),
                    "give every member a port of its own",
                );
            }
            members.push(address);
        }
        members
    }

    fn service(&mut self, group: &file::Group) -> ServiceConfig {
        match (group.service, &group.accounts) {
            (file::Service::Accounts, accounts) => {
                let accounts = accounts.iter().flatten();
                ServiceConfig::Accounts(
                    accounts.map(|(name, amount)| self.account(group, name, *amount)).collect(),
                )
            }
            (file::Service::Transactions, None) => ServiceConfig::Transactions,
            (file::Service::Transactions, Some(_)) => {
                self.wrong(
                    format!("group `{}` decides on transactions and has no accounts", group.name),
                    "move `accounts` to a group with `service = \"accounts\"`",
                );
                ServiceConfig::Transactions
            }
        }
    }

    fn account(&mut self, group: &file::Group, name: &str, amount: i64) -> (Arc<str>, i64) {
        self.name("account", name);
        if amount < 0 {
            self.wrong(
                format!("account `{}/{}` begins with {amount}", group.name, shown(name)),
                "an account cannot hold less than 0",
            );
        }
        (name.into(), amount)
    }

    fn clients(&mut self, clients: file::Clients) -> Clients {
        if clients.names.len() > CLIENTS_MAX {
            self.wrong(
                format!("{} clients are too many to deal keys to", clients.names.len()),
                format!("at most {CLIENTS_MAX}; `open = true` lets others make their own"),
            );
        }
        self.distinct("clients", clients.names.iter());
        for name in clients.names.iter().take(CLIENTS_MAX) {
            self.name("client", name);
        }
        Clients { names: clients.names.into_iter().map(Into::into).collect(), open: clients.open }
    }

    fn distinct<'a>(&mut self, what: &str, names: impl Iterator<Item = &'a String>) {
        let mut seen = BTreeSet::new();
        for name in names.filter(|name| !seen.insert(*name)).collect::<BTreeSet<_>>() {
            self.wrong(format!("two {what} are named `{}`", shown(name)), "rename one of them");
        }
    }

    /// Names stand in file names, in `left[2]` and in `left/alice`.
    fn name(&mut self, what: &str, name: &str) {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        if !first || name.len() > NAME_MAX || !name.chars().all(letter) {
            self.wrong(
                format!(
                    "`{}` is no name of a{} {what}",
                    shown(name),
                    if what == "account" { "n" } else { "" }
                ),
                format!("a name is 1 to {NAME_MAX} of a-z, 0-9, - and _, and begins with a letter"),
            );
        }
    }

    fn folder(&mut self, what: &str, path: &str) {
        if path.is_empty() || path.contains('\0') {
            self.wrong(
                format!("`{what} = \"{}\"` names no folder", shown(path)),
                format!("a path relative to the configuration, such as `{what} = \"{what}\"`"),
            );
        }
    }
}

/// `HOST:PORT` or `[IPV6]:PORT`.
fn address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None => host.to_string(),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let plain = !text.starts_with('[') && host.contains(':');
    let right = !host.is_empty() && host.len() <= 253 && host.chars().all(letter) && !plain;
    right.then_some(Address { host, port })
}

/// A text from the file in a message: no control characters, and not at any length.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(60).collect()
}
