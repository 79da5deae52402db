//! The public keys of everybody, and their text.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::Arc,
};

use serde::Deserialize;

use super::{
    super::{
        Digest, PublicKey, Scheme,
        threshold::{PairingPublic, ddh::DdhPublic, rsa::RsaPublic},
    },
    certificates,
    text::{self, Hex, KeyError},
};
use crate::{
    config::{CoinScheme, Config, GroupConfig, Schemes, SignatureScheme},
    id::{ClientId, GroupId, PartyId},
    seat::Owner,
    thresholds::Thresholds,
};

/// The public keys of all members of all groups, and of the clients that the dealer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    config: Digest,
    groups: Vec<GroupPublic>,
    clients: Vec<(Arc<str>, PublicKey)>,
    /// The name of the deal.
    name: Digest,
}

/// The public keys of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupPublic {
    pub(super) id: GroupId,
    pub(super) name: Arc<str>,
    pub(super) thresholds: Thresholds,
    pub(super) schemes: Schemes,
    pub(super) identities: Vec<PublicKey>,
    pub(super) quorum: Option<PairingPublic>,
    pub(super) service: Option<PairingPublic>,
    pub(super) signature: SignaturePublic,
    pub(super) coin: CoinPublic,
    pub(super) cipher: PairingPublic,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SignaturePublic {
    /// The keys are those of the identities.
    Multisig,
    Pairing(PairingPublic),
    Rsa(RsaPublic),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CoinPublic {
    Ddh(DdhPublic),
    Pairing(PairingPublic),
}

impl PublicKeys {
    pub(super) fn new(
        config: Digest,
        groups: Vec<GroupPublic>,
        clients: Vec<(Arc<str>, PublicKey)>,
    ) -> Self {
        let mut keys = Self { config, groups, clients, name: Digest::new([0; 32]) };
        keys.name = Digest::of("deal", keys.body().as_bytes());
        keys
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote, for this configuration.
    pub fn parse(config: &Config, text: &str) -> Result<Self, KeyError> {
        let file: PublicFile = text::parse(text)?;
        text::version(file.version)?;
        // What differs in a scheme is another configuration, too; but this can be said more clearly.
        file.group.iter().try_for_each(|group| group.fits(config.schemes()))?;
        if file.config.digest()? != config.digest() {
            return Err(KeyError::OtherConfig);
        }
        if file.group.len() != config.groups().len() {
            return Err(KeyError::OtherConfig);
        }
        let groups = file.group.iter().zip(config.groups());
        let groups: Result<_, _> =
            groups.map(|(file, group)| file.read(group, config.schemes())).collect();
        let clients: Result<_, _> = file.client.iter().map(PublicClient::read).collect();
        let keys = Self::new(config.digest(), groups?, clients?);
        if file.deal.digest()? == keys.name { Ok(keys) } else { Err(KeyError::Changed) }
    }

    /// The text of the public file. Nothing in it is secret.
    pub fn to_toml(&self) -> String {
        let (deal, config) = (text::hex(self.name.as_bytes()), text::hex(self.config.as_bytes()));
        format!(
            "# Public keys of all groups and clients, made by `maftia deal`. Nothing here is secret;\n\
             # a changed character makes the key files that belong to it refuse it.\n\
             version = {}\ndeal = \"{deal}\"\nconfig = \"{config}\"\n{}",
            text::VERSION,
            self.body()
        )
    }

    /// The name of the deal: the digest of all public keys.
    pub fn name(&self) -> Digest {
        self.name
    }

    /// The digest of the configuration that the keys are for.
    pub fn config(&self) -> Digest {
        self.config
    }

    /// The clients that the dealer knows.
    pub fn clients(&self) -> impl ExactSizeIterator<Item = (&str, ClientId)> {
        self.clients.iter().map(|(name, key)| (&**name, key.client()))
    }

    /// The client with this name.
    pub fn client(&self, name: &str) -> Option<ClientId> {
        self.clients().find(|(client, _)| *client == name).map(|(_, id)| id)
    }

    /// The name of a client, if the dealer knows it.
    pub fn client_name(&self, id: ClientId) -> Option<&str> {
        self.clients().find(|(_, client)| *client == id).map(|(name, _)| name)
    }

    /// The RSA key of a group in PEM, as every other program reads it; `None` if it has no such key.
    pub fn rsa_pem(&self, group: GroupId) -> Option<String> {
        match &self.groups.get(group.index())?.signature {
            SignaturePublic::Rsa(public) => Some(public.pem()),
            SignaturePublic::Multisig | SignaturePublic::Pairing(_) => None,
        }
    }

    /// The RSA keys of all groups that have one, as files: `left.pem` and what is in it.
    pub fn pem_files(&self) -> Vec<(String, String)> {
        let file =
            |group: &GroupPublic| Some((format!("{}.pem", group.name), self.rsa_pem(group.id)?));
        self.groups.iter().filter_map(file).collect()
    }

    /// The key of every owner.
    pub fn identities(&self) -> BTreeMap<Owner, PublicKey> {
        let members = self.groups.iter().flat_map(|group| {
            let numbered = (0..).map(PartyId::new).zip(&group.identities);
            numbered.map(|(party, key)| (Owner::Party(group.id, party), *key))
        });
        let clients = self.clients.iter().map(|(_, key)| (Owner::Client(key.client()), *key));
        members.chain(clients).collect()
    }

    pub(crate) fn groups(&self) -> &[GroupPublic] {
        &self.groups
    }

    /// All keys as text, in one form only: its digest is the name of the deal.
    fn body(&self) -> String {
        let mut out = String::new();
        self.write_body(&mut out).expect("writing to a string cannot fail");
        out
    }

    fn write_body(&self, out: &mut String) -> fmt::Result {
        for group in &self.groups {
            let identities = list(group.identities.iter().map(PublicKey::to_bytes));
            writeln!(out, "\n[[group]]\nname = \"{}\"\nidentities = {identities}", group.name)?;
            let schemes = group.schemes;
            for (what, public) in [("quorum", &group.quorum), ("service", &group.service)] {
                if let Some(public) = public {
                    let what = (what, schemes.certificates.scheme());
                    write_keys(out, what, &public.master(), list(public.members()))?;
                }
            }
            let signature = ("signature", schemes.signatures.scheme());
            match &group.signature {
                SignaturePublic::Multisig => {}
                SignaturePublic::Pairing(public) => {
                    write_keys(out, signature, &public.master(), list(public.members()))?;
                }
                SignaturePublic::Rsa(public) => {
                    write_keys(out, signature, &public.group(), list(public.members()))?;
                }
            }
            let coin = ("coin", schemes.coin.scheme());
            match &group.coin {
                CoinPublic::Ddh(public) => {
                    let members = list(public.members().iter().map(PublicKey::to_bytes));
                    write_keys(out, coin, &public.master().to_bytes(), members)?;
                }
                CoinPublic::Pairing(public) => {
                    write_keys(out, coin, &public.master(), list(public.members()))?;
                }
            }
            let cipher = ("cipher", schemes.cipher.scheme());
            write_keys(out, cipher, &group.cipher.master(), list(group.cipher.members()))?;
        }
        for (name, key) in &self.clients {
            writeln!(
                out,
                "\n[[client]]\nname = \"{name}\"\nkey = \"{}\"",
                text::hex(&key.to_bytes())
            )?;
        }
        Ok(())
    }
}

fn write_keys(
    out: &mut String,
    (what, scheme): (&str, Scheme),
    master: &[u8],
    members: String,
) -> fmt::Result {
    let master = text::hex(master);
    writeln!(out, "{what} = {{ group = \"{master}\", members = {members}, scheme = \"{scheme}\" }}")
}

fn list<const LEN: usize>(keys: impl IntoIterator<Item = [u8; LEN]>) -> String {
    let keys: Vec<_> = keys.into_iter().map(|key| format!("\"{}\"", text::hex(&key))).collect();
    format!("[{}]", keys.join(", "))
}

/// The public file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicFile {
    version: u32,
    deal: Hex,
    config: Hex,
    #[serde(default)]
    group: Vec<PublicGroup>,
    #[serde(default)]
    client: Vec<PublicClient>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicGroup {
    name: String,
    identities: Vec<Hex>,
    quorum: Option<SchemeKeys>,
    service: Option<SchemeKeys>,
    signature: Option<SchemeKeys>,
    coin: SchemeKeys,
    cipher: SchemeKeys,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemeKeys {
    group: Hex,
    members: Vec<Hex>,
    scheme: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicClient {
    name: String,
    key: Hex,
}

impl PublicClient {
    fn read(&self) -> Result<(Arc<str>, PublicKey), KeyError> {
        Ok((self.name.as_str().into(), self.key.point()?))
    }
}

impl PublicGroup {
    fn read(&self, group: &GroupConfig, schemes: Schemes) -> Result<GroupPublic, KeyError> {
        let (t, paired) = (group.thresholds, certificates(schemes));
        let fits = self.identities.len() == usize::from(t.n()) && *self.name == *group.name;
        if !fits || self.quorum.is_some() != paired || self.service.is_some() != paired {
            return Err(KeyError::OtherConfig);
        }
        let identities: Result<_, _> = self.identities.iter().map(Hex::point).collect();
        let pairing =
            |keys: &Option<SchemeKeys>, k| keys.as_ref().map(|keys| keys.pairing(t, k)).transpose();
        Ok(GroupPublic {
            id: group.id,
            name: Arc::clone(&group.name),
            thresholds: t,
            schemes,
            identities: identities?,
            quorum: pairing(&self.quorum, t.quorum())?,
            service: pairing(&self.service, t.one_correct())?,
            signature: self.signature(t, schemes.signatures)?,
            coin: match schemes.coin {
                CoinScheme::Ddh => CoinPublic::Ddh(self.coin.ddh(t)?),
                CoinScheme::Pairing | CoinScheme::PairingBlst => {
                    CoinPublic::Pairing(self.coin.pairing(t, t.one_correct())?)
                }
            },
            cipher: self.cipher.pairing(t, t.one_correct())?,
        })
    }
}

impl PublicGroup {
    /// Whether all keys are of the schemes that the configuration names.
    fn fits(&self, schemes: Schemes) -> Result<(), KeyError> {
        let certificates = schemes.certificates.scheme();
        let all = [
            ("quorum", &self.quorum, certificates),
            ("service", &self.service, certificates),
            ("signature", &self.signature, schemes.signatures.scheme()),
        ];
        // Keys of a multi-signature are those of the identities: there are none of its own.
        let optional = |keys: &Option<SchemeKeys>| {
            keys.as_ref().map_or(Scheme::Multisig.word().to_owned(), |keys| keys.scheme.clone())
        };
        let all = all.map(|(what, keys, ours)| (what, optional(keys), ours));
        let coin = ("coin", self.coin.scheme.clone(), schemes.coin.scheme());
        let cipher = ("cipher", self.cipher.scheme.clone(), schemes.cipher.scheme());
        match all.into_iter().chain([coin, cipher]).find(|(_, theirs, ours)| theirs != ours.word())
        {
            Some((what, theirs, ours)) => Err(KeyError::OtherScheme { what, theirs, ours }),
            None => Ok(()),
        }
    }

    fn signature(
        &self,
        t: Thresholds,
        scheme: SignatureScheme,
    ) -> Result<SignaturePublic, KeyError> {
        let needed = t.one_correct();
        Ok(match (scheme, &self.signature) {
            (SignatureScheme::Multisig, None) => SignaturePublic::Multisig,
            (SignatureScheme::Pairing | SignatureScheme::PairingBlst, Some(keys)) => {
                SignaturePublic::Pairing(keys.pairing(t, needed)?)
            }
            (SignatureScheme::Rsa, Some(keys)) => SignaturePublic::Rsa(keys.rsa(t, needed)?),
            _ => return Err(KeyError::OtherConfig),
        })
    }
}

impl SchemeKeys {
    fn rsa(&self, t: Thresholds, needed: usize) -> Result<RsaPublic, KeyError> {
        self.complete(t)?;
        RsaPublic::from_bytes(&self.group.0, &self.members, needed).ok_or(KeyError::NoPoint)
    }

    fn pairing(&self, t: Thresholds, needed: usize) -> Result<PairingPublic, KeyError> {
        self.complete(t)?;
        PairingPublic::from_bytes(&self.group.0, &self.members, needed).ok_or(KeyError::NoPoint)
    }

    fn ddh(&self, t: Thresholds) -> Result<DdhPublic, KeyError> {
        self.complete(t)?;
        let members: Result<_, _> = self.members.iter().map(Hex::point).collect();
        DdhPublic::new(self.group.point()?, members?, t.one_correct()).ok_or(KeyError::NoPoint)
    }

    fn complete(&self, t: Thresholds) -> Result<(), KeyError> {
        if self.members.len() == usize::from(t.n()) { Ok(()) } else { Err(KeyError::OtherConfig) }
    }
}
