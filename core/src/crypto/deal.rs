//! What the dealer makes: [`PublicKeys`] for everybody, a [`Keyring`] for each party and client.
//!
//! All follows from a configuration and 32 fresh secret bytes. The public keys have a digest, the name
//! of the deal, which stands in every key file beside the digest of the configuration: a key of
//! another deal, or for another configuration, is refused before it does harm. Every secret that is
//! read is compared with the public key that belongs to it.

mod public;
mod ring;
mod text;

pub use public::PublicKeys;
pub use ring::Keyring;
pub use text::KeyError;
use zeroize::Zeroizing;

use std::sync::Arc;

use self::{
    public::{CoinPublic, GroupPublic, SignaturePublic},
    ring::{CoinSecret, MemberSecret, SignatureSecret},
};
use super::{
    Digest, PublicKey, SecretKey,
    threshold::{
        PairingPublic, PairingSecret,
        dealer::{self, SeedRng},
        rsa::{self, SafePrimes},
    },
};
use crate::{
    config::{CertificateScheme, CoinScheme, Config, GroupConfig, Schemes, SignatureScheme},
    id::{GroupId, PartyId},
};

/// All that one run of the dealer makes. Drop it as soon as the keys are handed out.
#[derive(Debug)]
pub struct Deal {
    public: Arc<PublicKeys>,
    members: Vec<Vec<MemberSecret>>,
    clients: Vec<SecretKey>,
    open: bool,
}

impl Deal {
    /// Makes the keys of everybody in the configuration. Whoever knows the seed knows them all. Keys of
    /// RSA take some seconds a group.
    pub fn new(config: &Config, seed: &[u8; 32]) -> Self {
        Self::of(config, &Stream { seed, config: config.digest(), primes: None })
    }

    /// The same, with these primes for the RSA keys of every group: for tests, which have no time to
    /// search for some.
    pub fn with_primes(config: &Config, seed: &[u8; 32], primes: &SafePrimes) -> Self {
        Self::of(config, &Stream { seed, config: config.digest(), primes: Some(primes) })
    }

    fn of(config: &Config, stream: &Stream<'_>) -> Self {
        let (groups, members) =
            config.groups().iter().map(|group| stream.group(group, config.schemes())).unzip();
        let names = &config.clients().names;
        let clients: Vec<_> =
            names.iter().map(|name| stream.identity(&["client", name], 0)).collect();
        let public = |(name, key): (&Arc<str>, &SecretKey)| (Arc::clone(name), key.public());
        let listed = names.iter().zip(&clients).map(public).collect();
        let public = PublicKeys::new(config.digest(), groups, listed);
        Self { public: Arc::new(public), members, clients, open: config.clients().open }
    }

    /// The public keys of everybody.
    pub fn public(&self) -> &Arc<PublicKeys> {
        &self.public
    }

    /// What this member holds.
    pub fn party(&self, group: GroupId, party: PartyId) -> Option<Keyring> {
        let secret = self.members.get(group.index())?.get(party.index())?;
        Some(Keyring::member(Arc::clone(&self.public), group, party, secret.clone(), self.open))
    }

    /// What the client with this name holds.
    pub fn client(&self, name: &str) -> Option<Keyring> {
        let place = self.public.clients().position(|(client, _)| client == name)?;
        let secret = self.clients[place].clone();
        Some(Keyring::client(Arc::clone(&self.public), secret))
    }

    /// The secret files: their names and contents, which are wiped when dropped.
    pub fn files(&self) -> Vec<(String, Zeroizing<String>)> {
        let mut files = Vec::new();
        for (group, members) in self.public.groups().iter().zip(&self.members) {
            for (place, secret) in members.iter().enumerate() {
                let name = format!("{}-{place}.key", group.name);
                files.push((name, text::member_file(&self.public, group, place, secret)));
            }
        }
        for ((name, _), secret) in self.public.clients().zip(&self.clients) {
            let file = text::client_file(Some(&self.public), name, secret);
            files.push((format!("client-{name}.key"), file));
        }
        files
    }
}

/// The key file of a client that makes its own key, under a label of its choice.
pub fn self_made(label: &str, secret: &SecretKey) -> Zeroizing<String> {
    text::client_file(None, label, secret)
}

/// Secret bits for each purpose, none of which says anything about another.
struct Stream<'a> {
    seed: &'a [u8; 32],
    config: Digest,
    primes: Option<&'a SafePrimes>,
}

impl Stream<'_> {
    fn at(&self, purpose: &[&str], place: usize) -> SeedRng {
        let place = (place as u64).to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![self.seed, self.config.as_bytes(), &place];
        parts.extend(purpose.iter().map(|part| part.as_bytes()));
        SeedRng::new("maftia/v1/deal", &parts)
    }

    fn identity(&self, purpose: &[&str], place: usize) -> SecretKey {
        SecretKey::from_seed(&self.at(purpose, place).seed())
    }

    fn group(&self, group: &GroupConfig, schemes: Schemes) -> (GroupPublic, Vec<MemberSecret>) {
        let (name, t) = (&*group.name, group.thresholds);
        let pairing = |scheme, needed| {
            dealer::pairing(&mut self.at(&["group", name, scheme], 0), t.n(), needed)
        };
        let quorum = certificates(schemes).then(|| pairing("quorum", t.quorum()));
        let service = certificates(schemes).then(|| pairing("service", t.one_correct()));
        let cipher = pairing("cipher", t.one_correct());
        let (coin, coins) = self.coin(group, schemes);
        let (signature, signatures) = self.signature(group, schemes);
        let identities: Vec<_> =
            (0..usize::from(t.n())).map(|place| self.identity(&["member", name], place)).collect();
        let secret = |place: usize| MemberSecret {
            identity: identities[place].clone(),
            quorum: secret_of(quorum.as_ref(), place),
            service: secret_of(service.as_ref(), place),
            signature: signatures.get(place).cloned(),
            coin: coins[place].clone(),
            cipher: cipher.1[place].clone(),
        };
        let secrets = (0..identities.len()).map(secret).collect();
        let public = GroupPublic {
            id: group.id,
            name: Arc::clone(&group.name),
            thresholds: t,
            schemes,
            identities: identities.iter().map(SecretKey::public).collect::<Vec<PublicKey>>(),
            quorum: quorum.map(|(public, _)| public),
            service: service.map(|(public, _)| public),
            signature,
            coin,
            cipher: cipher.0,
        };
        (public, secrets)
    }

    /// Signatures of messages, whose keys are those of the members' identities unless said otherwise.
    fn signature(
        &self,
        group: &GroupConfig,
        schemes: Schemes,
    ) -> (SignaturePublic, Vec<SignatureSecret>) {
        let (t, name) = (group.thresholds, &*group.name);
        let mut rng = self.at(&["group", name, "signature"], 0);
        match schemes.signatures {
            SignatureScheme::Multisig => (SignaturePublic::Multisig, Vec::new()),
            SignatureScheme::Pairing | SignatureScheme::PairingBlst => {
                let (public, secrets) = dealer::pairing(&mut rng, t.n(), t.one_correct());
                let secrets = secrets.into_iter().map(SignatureSecret::Pairing).collect();
                (SignaturePublic::Pairing(public), secrets)
            }
            SignatureScheme::Rsa => {
                let search = || SafePrimes::generate(&mut self.at(&["group", name, "primes"], 0));
                let primes = self.primes.cloned().unwrap_or_else(search);
                let (public, secrets) = rsa::deal(&mut rng, &primes, t.n(), t.one_correct());
                let secrets = secrets.into_iter().map(SignatureSecret::Rsa).collect();
                (SignaturePublic::Rsa(public), secrets)
            }
        }
    }

    fn coin(&self, group: &GroupConfig, schemes: Schemes) -> (CoinPublic, Vec<CoinSecret>) {
        let t = group.thresholds;
        let mut rng = self.at(&["group", &group.name, "coin"], 0);
        match schemes.coin {
            CoinScheme::Ddh => {
                let (public, secrets) = dealer::ddh(&mut rng, t.n(), t.one_correct());
                (CoinPublic::Ddh(public), secrets.into_iter().map(CoinSecret::Ddh).collect())
            }
            CoinScheme::Pairing | CoinScheme::PairingBlst => {
                let (public, secrets) = dealer::pairing(&mut rng, t.n(), t.one_correct());
                (
                    CoinPublic::Pairing(public),
                    secrets.into_iter().map(CoinSecret::Pairing).collect(),
                )
            }
        }
    }
}

/// Whether certificates need keys of their own.
fn certificates(schemes: Schemes) -> bool {
    schemes.certificates != CertificateScheme::Multisig
}

fn secret_of(
    dealt: Option<&(PairingPublic, Vec<PairingSecret>)>,
    place: usize,
) -> Option<PairingSecret> {
    dealt.map(|(_, secrets)| secrets[place].clone())
}

#[cfg(test)]
mod tests;
