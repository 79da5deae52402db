//! What follows from a configuration, in words.

use std::fmt::{Result, Write};

use super::{
    CertificateScheme, CoinScheme, Config, Durability, GroupConfig, Link, Schemes, ServiceConfig,
    SignatureScheme,
};

pub(super) fn explain(config: &Config) -> String {
    let mut text = String::new();
    write_all(&mut text, config).expect("writing to a string cannot fail");
    text
}

fn write_all(out: &mut String, config: &Config) -> Result {
    for group in config.groups() {
        write_group(out, group, config.schemes())?;
        if group.durability != config.durability() {
            writeln!(out, "  durability   {}", durability(group.durability))?;
        }
        writeln!(out)?;
    }
    let clients = config.clients();
    let others = if clients.open { "others bring keys of their own" } else { "others are refused" };
    let names = clients.names.join(", ");
    let names = if names.is_empty() { "no keys are dealt" } else { &names };
    writeln!(out, "clients     {names}; {others}")?;
    writeln!(out, "durability  {}", durability(config.durability()))?;
    writeln!(out, "links       {}", link(config.link()))?;
    writeln!(
        out,
        "keys        {}/ holds the key files, relative to the configuration",
        config.keys()
    )?;
    writeln!(out, "data        {}/ holds logs and checkpoints", config.data())?;
    if config.lab() {
        writeln!(out, "lab         ON: consoles may make members lie; never in earnest")?;
    }
    writeln!(out, "digest      {} (keys are dealt for it)", config.digest())
}

fn write_group(out: &mut String, group: &GroupConfig, schemes: Schemes) -> Result {
    let t = group.thresholds;
    let (n, f) = (t.n(), t.f());
    let what = match &group.service {
        ServiceConfig::Transactions => "decides on transactions",
        ServiceConfig::Accounts(_) => "keeps accounts",
    };
    writeln!(
        out,
        "group `{}` {what}; n = {n}, f = {f}, asynchronous, epoch {}",
        group.name, group.epoch
    )?;
    for (place, address) in group.members.iter().enumerate() {
        writeln!(out, "  {:<12} {address}", format!("{}[{place}]", group.name))?;
    }
    if let ServiceConfig::Accounts(accounts) = &group.service {
        let list: Vec<_> =
            accounts.iter().map(|(name, amount)| format!("{name} = {amount}")).collect();
        writeln!(
            out,
            "  accounts     {}",
            if list.is_empty() { "none yet".into() } else { list.join(", ") }
        )?;
    }
    write_promise(out, group)?;
    let (certificates, coin) = (certificates(schemes), coin(schemes));
    writeln!(
        out,
        "  quorum       {} of {n}: any two share a correct member ({certificates})",
        t.quorum()
    )?;
    writeln!(
        out,
        "  one correct  {} of {n}: replies, statements, checkpoints ({certificates})",
        t.one_correct()
    )?;
    writeln!(
        out,
        "  signatures   {} of {n} sign a message for others ({})",
        t.one_correct(),
        signatures(schemes)
    )?;
    writeln!(out, "  coin         {} of {n} show it ({coin})", t.one_correct())?;
    writeln!(out, "  cipher       {} of {n} open it ({})", t.one_correct(), schemes.cipher.scheme())
}

/// What is tolerated, and what is not.
fn write_promise(out: &mut String, group: &GroupConfig) -> Result {
    let t = group.thresholds;
    let (n, f) = (t.n(), t.f());
    let promise = match f {
        0 => "NOTHING: one lying or silent member breaks the promises".into(),
        1 => "1 member that lies, is slow or is silent".into(),
        _ => format!("{f} members that lie, are slow or are silent, together"),
    };
    writeln!(out, "  tolerates    {promise}")?;
    writeln!(out, "  goes on      while {} of {n} are correct and connected", t.available())?;
    let spare = n - (3 * f + 1);
    if spare > 0 {
        writeln!(
            out,
            "  note         {spare} members more than f = {f} needs; f = {} needs {}",
            f + 1,
            3 * f + 4
        )?;
    }
    Ok(())
}

fn certificates(schemes: Schemes) -> &'static str {
    match schemes.certificates {
        CertificateScheme::Multisig => "multisig: P-256 signatures",
        CertificateScheme::Pairing => "one signature over pairings",
        CertificateScheme::PairingBlst => "one signature over pairings, with blst",
    }
}

fn coin(schemes: Schemes) -> &'static str {
    match schemes.coin {
        CoinScheme::Ddh => "Diffie-Hellman on P-256",
        CoinScheme::Pairing => "pairing",
        CoinScheme::PairingBlst => "pairing, with blst",
    }
}

fn signatures(schemes: Schemes) -> &'static str {
    match schemes.signatures {
        SignatureScheme::Multisig => "multisig: P-256 signatures",
        SignatureScheme::Pairing => "one signature over pairings",
        SignatureScheme::PairingBlst => "one signature over pairings, with blst",
        SignatureScheme::Rsa => "RSA of 2048 bits, which openssl verifies; dealing takes its time",
    }
}

fn link(link: Link) -> &'static str {
    match link {
        Link::Tcp => "tcp: every frame authenticated, none secret",
        Link::Quic => "quic: over UDP, every frame authenticated and encrypted",
    }
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => {
            "memory: a member that restarts has forgotten what it said, and counts as faulty"
        }
        Durability::Disk { sync: true } => "disk, synced: a restarted member goes on where it was",
        Durability::Disk { sync: false } => {
            "disk, not synced: a member whose machine failed may have forgotten what it said, and counts as faulty"
        }
    }
}
