//! TLS with dealt keys: each side shows its raw public key (RFC 7250) and signs for it. There are no
//! certificates, names, times or authorities that could be wrong, no older version to fall back to,
//! no session that is resumed and nothing is said before both have proved who they are.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::Arc,
};

use maftia_core::{
    crypto::{Digest, P256Identity, PublicKey},
    seat::Owner,
};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureAlgorithm, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, Signer, SigningKey},
    version::TLS13,
};

use crate::link::name;

/// A name for the form of it: nobody is known by a name, and it is not sent.
pub(super) const SERVER: &str = "maftia";

/// What is spoken inside. Who speaks something else is refused in the handshake.
const PROTOCOL: &[u8] = b"maftia/1";

/// The only kind of signature.
const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;

/// The keys of this owner and of all others.
#[derive(Debug)]
pub(super) struct Keys {
    identity: Arc<P256Identity>,
    own: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    known: Arc<Known>,
}

/// Whose key is which.
#[derive(Debug)]
struct Known {
    keys: BTreeMap<Vec<u8>, Owner>,
    /// Whether clients may have others.
    guests: bool,
}

impl Keys {
    pub(super) fn new(identity: Arc<P256Identity>, known: &BTreeSet<Owner>, guests: bool) -> Self {
        let key = |owner: &Owner| Some((identity.key_of(*owner)?.to_spki(), *owner));
        let known = Arc::new(Known { keys: known.iter().filter_map(key).collect(), guests });
        let shown = CertificateDer::from(identity.public().to_spki());
        let own = CertifiedKey::new(vec![shown], Arc::new(Pen(Arc::clone(&identity))));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { identity, own: Arc::new(own), provider, known }
    }

    /// For whoever dials one of the known, or a guest.
    pub(super) fn listening(&self) -> Arc<QuicServerConfig> {
        let check = self.check(Expected::Known(Arc::clone(&self.known)));
        let own = AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.own));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has TLS 1.3")
            .with_client_cert_verifier(check)
            .with_cert_resolver(Arc::new(own));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config.try_into().expect("the provider has the first cipher of QUIC"))
    }

    /// For dialing this owner and nobody else.
    pub(super) fn dialing(&self, to: Owner) -> io::Result<Arc<QuicClientConfig>> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "nobody was dealt this key");
        let key = self.identity.key_of(to).ok_or_else(unknown)?;
        let check = self.check(Expected::One(to, key.to_spki()));
        let own = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.own));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(check)
            .with_client_cert_resolver(Arc::new(own));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(Arc::new(config.try_into().expect("the provider has the first cipher of QUIC")))
    }

    /// Whose key a connection was made with.
    pub(super) fn whose(&self, shown: Option<Box<dyn Any>>) -> Option<Owner> {
        let shown = shown?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        self.known.whose(shown.first()?)
    }

    fn check(&self, expected: Expected) -> Arc<Check> {
        Arc::new(Check { expected, algorithms: self.provider.signature_verification_algorithms })
    }
}

impl Known {
    fn whose(&self, key: &[u8]) -> Option<Owner> {
        let guest = || {
            let key = self.guests.then(|| PublicKey::from_spki(key).ok())?;
            Some(Owner::Client(key?.client()))
        };
        self.keys.get(key).copied().or_else(guest)
    }
}

/// Signs with the dealt key, which stays where it is.
struct Pen(Arc<P256Identity>);

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pen(..)")
    }
}

impl SigningKey for Pen {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = || Box::new(Self(Arc::clone(&self.0))) as Box<dyn Signer>;
        offered.contains(&SCHEME).then(signer)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Pen {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign_for_tls(message))
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

/// Accepts the right key and no other.
#[derive(Debug)]
struct Check {
    expected: Expected,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Which key is the right one.
#[derive(Debug)]
enum Expected {
    /// The one of this owner, whom we dial.
    One(Owner, Vec<u8>),
    /// Any of these, who dial us.
    Known(Arc<Known>),
}

impl Check {
    fn judge(&self, shown: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        let why = match &self.expected {
            Expected::One(_, key) if shown.as_ref() == key && more.is_empty() => return Ok(()),
            Expected::Known(known) if known.whose(shown).is_some() && more.is_empty() => {
                return Ok(());
            }
            Expected::One(owner, _) => format!("is not the one of {}", name(*owner)),
            Expected::Known(_) => "is nobody's in the configuration".into(),
        };
        let digest = Digest::of("TLS key", shown);
        Err(Error::General(format!("the other side showed a key, {digest}, that {why}")))
    }

    fn signed(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

/// There is no TLS 1.2 here, so nothing is ever signed under it.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("a signature of TLS 1.2, which is not spoken here".into()))
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(shown, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SCHEME]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Check {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(shown, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SCHEME]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
