//! What one owner holds: its secrets, and everybody's public keys.

use std::{fmt, sync::Arc};

use super::{
    super::{
        Keys, P256Identity, PublicKey, Purpose, SecretKey, ThresholdCoin, ThresholdSignature,
        threshold::{
            PairingPublic, PairingSecret, Pairings,
            ddh::DdhCoin,
            multisig::Multisig,
            rsa::{RsaSecret, RsaSignature},
        },
    },
    public::{CoinPublic, GroupPublic, PublicKeys, SignaturePublic},
    text::{self, KeyError, KeyFile},
};
use crate::{
    config::Config,
    id::{GroupId, PartyId},
    seat::Owner,
};

/// The secrets of a member of a group.
#[derive(Clone, Debug)]
pub(crate) struct MemberSecret {
    pub(super) identity: SecretKey,
    pub(super) quorum: Option<PairingSecret>,
    pub(super) service: Option<PairingSecret>,
    pub(super) signature: Option<SignatureSecret>,
    pub(super) coin: CoinSecret,
    pub(super) cipher: PairingSecret,
}

#[derive(Clone, Debug)]
pub(super) enum SignatureSecret {
    Pairing(PairingSecret),
    Rsa(RsaSecret),
}

#[derive(Clone, Debug)]
pub(super) enum CoinSecret {
    Ddh(SecretKey),
    Pairing(PairingSecret),
}

/// What one owner holds. From it come the [`Keys`] for each group that the owner has to do with.
pub struct Keyring {
    public: Arc<PublicKeys>,
    identity: Arc<P256Identity>,
    member: Option<(GroupId, MemberSecret)>,
}

impl Keyring {
    /// Reads a key file that the dealer wrote, or [`self_made`](super::self_made) did.
    pub fn parse(config: &Config, public: Arc<PublicKeys>, text: &str) -> Result<Self, KeyError> {
        let file: KeyFile = text::parse(text)?;
        text::version(file.version)?;
        match (&file.config, &file.deal) {
            (Some(of), _) if of.digest()? != config.digest() => return Err(KeyError::OtherConfig),
            (_, Some(deal)) if deal.digest()? != public.name() => return Err(KeyError::OtherDeal),
            (Some(_), Some(_)) => {}
            // Who was dealt a key cannot say that it made it itself: nobody would know it.
            (None, None) if config.clients().open && file.client.is_some() => {}
            (None, None) if file.client.is_some() => return Err(KeyError::Closed),
            _ => return Err(KeyError::Missing("config, deal")),
        }
        match (&file.group, file.member, &file.client) {
            (Some(group), Some(member), None) => {
                Self::read_member(config, public, &file, group, PartyId::new(member))
            }
            (None, None, Some(_)) => Self::read_client(public, &file),
            _ => Err(KeyError::Missing("group and member, or client")),
        }
    }

    pub(super) fn member(
        public: Arc<PublicKeys>,
        group: GroupId,
        party: PartyId,
        secret: MemberSecret,
        open: bool,
    ) -> Self {
        let owner = Owner::Party(group, party);
        let identities = Arc::new(public.identities());
        let identity = P256Identity::new(owner, secret.identity.clone(), identities, open);
        Self { public, identity: Arc::new(identity), member: Some((group, secret)) }
    }

    pub(super) fn client(public: Arc<PublicKeys>, secret: SecretKey) -> Self {
        let owner = Owner::Client(secret.public().client());
        let identities = Arc::new(public.identities());
        let identity = P256Identity::new(owner, secret, identities, false);
        Self { public, identity: Arc::new(identity), member: None }
    }

    fn read_member(
        config: &Config,
        public: Arc<PublicKeys>,
        file: &KeyFile,
        group: &str,
        party: PartyId,
    ) -> Result<Self, KeyError> {
        let group = public
            .groups()
            .iter()
            .find(|known| *known.name == *group && party.index() < known.identities.len())
            .ok_or(KeyError::NoMember)?;
        let secret = file.member_secret(group)?;
        secret.belongs(group, party)?;
        let (id, open) = (group.id, config.clients().open);
        Ok(Self::member(public, id, party, secret, open))
    }

    /// A dealt client must be the one that the public keys name so.
    fn read_client(public: Arc<PublicKeys>, file: &KeyFile) -> Result<Self, KeyError> {
        let secret = file.identity()?;
        let name = file.client.as_deref().unwrap_or_default();
        if file.deal.is_some() && public.client(name) != Some(secret.public().client()) {
            return Err(KeyError::Foreign("identity"));
        }
        Ok(Self::client(public, secret))
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner {
        self.identity.owner()
    }

    /// Signatures, authenticators and the pairwise secrets of links.
    pub fn identity(&self) -> &Arc<P256Identity> {
        &self.identity
    }

    /// The public keys of everybody.
    pub fn public(&self) -> &Arc<PublicKeys> {
        &self.public
    }

    /// The keys for what concerns this group: one's own, or one that is asked. Who is no member can
    /// check and combine, and makes shares that convince nobody. `None` if there is no such group.
    pub fn keys(&self, group: GroupId) -> Option<Keys> {
        let public = self.public.groups().get(group.index())?;
        let secret =
            self.member.as_ref().filter(|(own, _)| *own == group).map(|(_, secret)| secret);
        let t = public.thresholds;
        let scheme = public.schemes.certificates.scheme();
        let certificate = |purpose, needed, keys: &Option<PairingPublic>, secret| match keys {
            Some(public) => Pairings { scheme, public, secret, needed }.signature(purpose),
            None => self.multisig(public, purpose, needed),
        };
        Some(Keys {
            identity: Arc::clone(&self.identity) as _,
            quorum: certificate(
                Purpose::Quorum,
                t.quorum(),
                &public.quorum,
                secret.and_then(|secret| secret.quorum.clone()),
            ),
            service: certificate(
                Purpose::Service,
                t.one_correct(),
                &public.service,
                secret.and_then(|secret| secret.service.clone()),
            ),
            signature: self.signature(public, secret),
            coin: coin(public, secret),
            cipher: Pairings {
                scheme: public.schemes.cipher.scheme(),
                public: &public.cipher,
                secret: secret.map(|secret| secret.cipher.clone()),
                needed: t.one_correct(),
            }
            .cipher(),
        })
    }

    fn signature(
        &self,
        group: &GroupPublic,
        secret: Option<&MemberSecret>,
    ) -> Arc<dyn ThresholdSignature> {
        let needed = group.thresholds.one_correct();
        let secret = secret.and_then(|secret| secret.signature.clone());
        match &group.signature {
            SignaturePublic::Multisig => self.multisig(group, Purpose::Message, needed),
            SignaturePublic::Pairing(public) => {
                let secret = match secret {
                    Some(SignatureSecret::Pairing(secret)) => Some(secret),
                    _ => None,
                };
                let scheme = group.schemes.signatures.scheme();
                Pairings { scheme, public, secret, needed }.signature(Purpose::Message)
            }
            SignaturePublic::Rsa(public) => {
                let secret = match (secret, self.identity.owner()) {
                    (Some(SignatureSecret::Rsa(secret)), Owner::Party(_, me)) => Some((me, secret)),
                    _ => None,
                };
                Arc::new(RsaSignature::new(public.clone(), secret, needed))
            }
        }
    }

    fn multisig(
        &self,
        group: &GroupPublic,
        purpose: Purpose,
        needed: usize,
    ) -> Arc<dyn ThresholdSignature> {
        let (identity, n) = (Arc::clone(&self.identity), group.thresholds.n());
        Arc::new(Multisig::new(identity, purpose, group.id, n, needed))
    }
}

fn coin(group: &GroupPublic, secret: Option<&MemberSecret>) -> Arc<dyn ThresholdCoin> {
    let needed = group.thresholds.one_correct();
    let secret = secret.map(|secret| secret.coin.clone());
    match &group.coin {
        CoinPublic::Ddh(public) => {
            let secret = match secret {
                Some(CoinSecret::Ddh(secret)) => Some(secret),
                _ => None,
            };
            Arc::new(DdhCoin::new(public.clone(), secret, needed))
        }
        CoinPublic::Pairing(public) => {
            let secret = match secret {
                Some(CoinSecret::Pairing(secret)) => Some(secret),
                _ => None,
            };
            let scheme = group.schemes.coin.scheme();
            Pairings { scheme, public, secret, needed }.coin()
        }
    }
}

impl MemberSecret {
    /// Whether each secret is the one of the public key in this place.
    fn belongs(&self, group: &GroupPublic, party: PartyId) -> Result<(), KeyError> {
        let place = party.index();
        let pairing = |public: &PairingPublic, secret: &PairingSecret| {
            public.members()[place] == secret.public()
        };
        let optional =
            |public: &Option<PairingPublic>, secret: &Option<PairingSecret>| match (public, secret)
            {
                (Some(public), Some(secret)) => pairing(public, secret),
                (None, None) => true,
                _ => false,
            };
        let coin = match (&group.coin, &self.coin) {
            (CoinPublic::Ddh(public), CoinSecret::Ddh(secret)) => {
                public.members()[place] == secret.public()
            }
            (CoinPublic::Pairing(public), CoinSecret::Pairing(secret)) => pairing(public, secret),
            _ => false,
        };
        let signature = match (&group.signature, &self.signature) {
            (SignaturePublic::Multisig, None) => true,
            (SignaturePublic::Pairing(public), Some(SignatureSecret::Pairing(secret))) => {
                pairing(public, secret)
            }
            (SignaturePublic::Rsa(public), Some(SignatureSecret::Rsa(secret))) => {
                public.fits(place, secret)
            }
            _ => false,
        };
        let identity: PublicKey = self.identity.public();
        let checks = [
            ("identity", identity == group.identities[place]),
            ("quorum", optional(&group.quorum, &self.quorum)),
            ("service", optional(&group.service, &self.service)),
            ("signature", signature),
            ("coin", coin),
            ("cipher", pairing(&group.cipher, &self.cipher)),
        ];
        match checks.iter().find(|(_, right)| !right) {
            Some((what, _)) => Err(KeyError::Foreign(what)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("owner", &self.owner()).finish_non_exhaustive()
    }
}
