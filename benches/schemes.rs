//! What the threshold schemes cost, operation by operation: CPU microseconds of one thread, medians. The
//! defaults of a configuration are argued by this table.
//!
//! `cargo bench --bench schemes`, with `--features blst` for all rows.

#![allow(clippy::cast_precision_loss, reason = "figures are printed with a digit")]

mod support;

use std::hint::black_box;

use maftia_core::{
    config::Config,
    crypto::{Keys, Labelled, Share, deal::Deal},
    id::{Epoch, GroupId, PartyId},
    path::{InstanceId, Tag},
    sim::real,
};
use support::{median, thread_time};

/// The schemes of the rows: what a configuration says of all purposes, as far as they have it.
const SCHEMES: &[&str] = &[
    "multisig",
    "rsa",
    "ddh",
    "pairing",
    #[cfg(feature = "blst")]
    "pairing-blst",
];

/// How often each figure is measured, and how many ciphertexts are taken together.
const ROUNDS: usize = 9;
const MANY: usize = 16;

/// The median cost of something, in microseconds.
fn cost<T>(mut what: impl FnMut() -> T) -> f64 {
    let once = |what: &mut dyn FnMut() -> T| {
        let before = thread_time();
        black_box(what());
        thread_time().saturating_sub(before).as_secs_f64() * 1e6
    };
    // The first one fills caches.
    once(&mut what);
    median((0..ROUNDS).map(|_| once(&mut what)).collect())
}

/// The keys of all members of a group of this size, with this scheme wherever it can be had.
fn keys(n: u16, scheme: &str) -> Vec<Keys> {
    let members: Vec<String> = (0..n).map(|at| format!("\"127.0.0.1:{}\"", 9_000 + at)).collect();
    let pairing = scheme.starts_with("pairing");
    let [coin, cipher] = [("ddh", pairing), ("pairing", pairing)]
        .map(|(usual, fits)| if fits { scheme } else { usual });
    let signatures = if scheme == "ddh" { "multisig" } else { scheme };
    let (f, members) = ((n - 1) / 3, members.join(", "));
    let text = format!(
        "[schemes]\ncoin = \"{coin}\"\nsignatures = \"{signatures}\"\ncipher = \"{cipher}\"\n\
         [[group]]\nname = \"tm\"\nservice = \"transactions\"\nfaults = {f}\nmembers = [{members}]\n"
    );
    let config = Config::parse(&text).expect("a good configuration");
    let deal = Deal::with_primes(&config, &[7; 32], &real::primes());
    let id = GroupId::new(0);
    let own = |party| deal.party(id, party).expect("a member").keys(id).expect("its group");
    PartyId::all(n).map(own).collect()
}

fn tag() -> Tag {
    InstanceId::root(GroupId::new(0), Epoch::FIRST, "bench").tag("x")
}

fn shares(all: &[Keys], of: impl Fn(&Keys) -> Share) -> Vec<(PartyId, Share)> {
    (0..).map(PartyId::new).zip(all.iter().map(of)).collect()
}

/// Make, check, combine, check what was combined.
fn signature(all: &[Keys]) -> [f64; 4] {
    let (tag, scheme) = (tag(), &all[0].signature);
    let digest = scheme.digest(b"", b"message");
    let shares = shares(all, |keys| keys.signature.share(&tag, &digest));
    let whole = scheme.combine(&tag, &digest, &shares).expect("right shares");
    let (party, share) = &shares[1];
    [
        cost(|| scheme.share(&tag, &digest)),
        cost(|| scheme.check_share(*party, &tag, &digest, share)),
        cost(|| scheme.combine(&tag, &digest, &shares)),
        cost(|| scheme.check(&tag, &digest, &whole)),
    ]
}

/// Make, check, combine.
fn coin(all: &[Keys]) -> [f64; 3] {
    let (tag, scheme) = (tag(), &all[0].coin);
    let shares = shares(all, |keys| keys.coin.share(&tag));
    let (party, share) = &shares[1];
    [
        cost(|| scheme.share(&tag)),
        cost(|| scheme.check_share(*party, &tag, share)),
        cost(|| scheme.combine(&tag, &shares)),
    ]
}

/// Encrypt, make a share, combine; then the last two for one of many that are taken together.
fn cipher(all: &[Keys]) -> [f64; 5] {
    let (label, scheme) = (&b"label"[..], &all[0].cipher);
    let encrypt = |at: u8| scheme.encrypt(label, &[at; 256], &[at; 32]);
    let many: Vec<_> = (0..MANY as u8)
        .map(|at| Labelled { label: label.into(), ciphertext: encrypt(at) })
        .collect();
    let opened: Vec<_> = many
        .iter()
        .map(|one| {
            let share = |keys: &Keys| keys.cipher.share(&one.label, &one.ciphertext);
            (one.clone(), shares(all, |keys| share(keys).expect("it is valid")))
        })
        .collect();
    [
        cost(|| encrypt(0)),
        cost(|| scheme.shares(&many[..1])),
        cost(|| scheme.combine_all(&opened[..1])),
        cost(|| scheme.shares(&many)) / MANY as f64,
        cost(|| scheme.combine_all(&opened)) / MANY as f64,
    ]
}

fn row(name: &str, figures: &[f64]) {
    let figures = figures.iter().map(|figure| format!("{figure:>10.1}"));
    println!("{name:<14}{}", figures.collect::<String>());
}

fn main() {
    for n in [4, 16] {
        println!("\nn = {n}, f + 1 = {} shares, CPU us of one thread", (n - 1) / 3 + 1);
        println!("signature           make     check   combine     check");
        for scheme in SCHEMES.iter().filter(|scheme| **scheme != "ddh") {
            row(scheme, &signature(&keys(n, scheme)));
        }
        println!("coin                make     check   combine");
        for scheme in SCHEMES.iter().filter(|scheme| !["multisig", "rsa"].contains(scheme)) {
            row(scheme, &coin(&keys(n, scheme)));
        }
        println!("cipher           encrypt     share   combine share/{MANY} combine/{MANY}");
        for scheme in SCHEMES.iter().filter(|scheme| scheme.starts_with("pairing")) {
            row(scheme, &cipher(&keys(n, scheme)));
        }
    }
}
