//! Real cryptography in a simulated world: keys as the dealer makes them.
//!
//! Mass runs take [`ideal`](super::ideal) schemes, which cannot be wrong. One seed in a thousand takes
//! the real ones, so that what the ideal ones leave out is met: shares of other lengths and forms,
//! blame after a failed combination, signatures that differ from run to run of the same signer.

use crate::{
    config::Config,
    crypto::{
        Keys,
        deal::{Deal, PublicKeys},
        threshold::rsa::SafePrimes,
    },
    seat::{Group, Owner},
    thresholds::Thresholds,
};

/// One seed in so many runs the real cryptography.
const EVERY: u64 = 1_000;

/// Whether worlds of this seed run the real cryptography: 999, 1999 and so on.
pub const fn of_seed(seed: u64) -> bool {
    seed % EVERY == EVERY - 1
}

/// The keys of one group.
#[derive(Debug)]
pub struct Dealt(Deal);

impl Dealt {
    /// Deals to a group with this name. Of those seeds that run real cryptography, every other has the
    /// usual schemes and RSA, and the others everything over pairings. With the feature `blst`, every
    /// third has that instead.
    ///
    /// # Panics
    /// When a configuration cannot hold such a group.
    pub fn new(name: &str, thresholds: Thresholds, seed: u64) -> Self {
        let turn = seed / EVERY;
        let [certificates, coin, signatures, cipher] = if cfg!(feature = "blst") && turn % 3 == 2 {
            ["pairing-blst"; 4]
        } else if turn.is_multiple_of(2) {
            ["multisig", "ddh", "rsa", "pairing"]
        } else {
            ["pairing"; 4]
        };
        let (n, faults) = (thresholds.n(), thresholds.f());
        let members: Vec<_> = (0..n).map(|at| format!("\"sim:{}\"", 9_000 + at)).collect();
        let members = members.join(", ");
        let text = format!(
            "[schemes]\ncertificates = \"{certificates}\"\ncoin = \"{coin}\"\n\
             signatures = \"{signatures}\"\ncipher = \"{cipher}\"\n[[group]]\nname = \"{name}\"\nservice = \"transactions\"\nfaults = {faults}\nmembers = [{members}]\n"
        );
        let config = Config::parse(&text).expect("a group that a world can have");
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&seed.to_le_bytes());
        Self(Deal::with_primes(&config, &secret, &primes()))
    }

    /// The public keys of the group.
    pub fn public(&self) -> &PublicKeys {
        self.0.public()
    }

    /// What an owner holds.
    ///
    /// # Panics
    /// When it is no member: clients have no dealt keys here.
    pub fn keys(&self, owner: Owner, group: Option<&Group>) -> Keys {
        let (Owner::Party(of, party), Some(group)) = (owner, group) else {
            panic!("{owner:?} is no member")
        };
        let ring = self.0.party(of, party).expect("a member of the group");
        ring.keys(group.id).expect("the only group")
    }
}

/// Two safe primes that everybody can read: RSA for tests, whose search would take a minute.
///
/// # Panics
/// When the file beside this one is damaged.
pub fn primes() -> SafePrimes {
    let mut lines = include_str!("primes.txt").lines();
    let mut next = || lines.next().unwrap_or_default();
    SafePrimes::from_hex(next(), next()).expect("the file has two primes")
}
