//! Certificates that are worth nothing, shown by a sender that lies in a consistent broadcast, and a
//! coin that was tossed elsewhere.
//!
//! Four parties; [`LIAR`] is the sender. It has won when two correct parties deliver differently.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use maftia_core::{
    agreement::coin::{self, Coin},
    broadcast::consistent::{Closing, Consistent, Input, Message, Output, Spec},
    crypto::{
        self, Blame, Certificate, Digest, P256Identity, Purpose, SecretKey, Share, ThresholdCoin,
        ThresholdSignature, threshold::multisig::Multisig,
    },
    fault::Fault,
    id::{Epoch, GroupId, PartyId, Peer},
    mail::Mail,
    path::{InstanceId, Tag},
    seat::{Owner, Seat},
    shuttle::{Shuttle, p, read, seat},
    wire,
};

const LIAR: usize = 0;
const SPEC: Spec = Spec { sender: p(0), limit: 100, approve: false };

/// What a careless scheme forgets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hole {
    /// It checks each share of a list, and no share of an empty one.
    EmptyList,
    /// It counts shares, not signers.
    OneSigner,
    /// What is signed does not say in which instance.
    NoInstance,
}

/// A list of shares as a certificate, with a hole in its check.
#[derive(Debug)]
struct Careless {
    inner: Arc<dyn ThresholdSignature>,
    hole: Hole,
}

type List = Vec<(PartyId, Share)>;

impl Careless {
    fn tag(&self, tag: &Tag) -> Tag {
        if self.hole == Hole::NoInstance { nowhere() } else { *tag }
    }
}

/// What everything is signed for that is signed for no instance.
fn nowhere() -> Tag {
    InstanceId::root(GroupId::new(0), Epoch::FIRST, "").tag("")
}

impl ThresholdSignature for Careless {
    fn scheme(&self) -> crypto::Scheme {
        self.inner.scheme()
    }

    fn needed(&self) -> usize {
        self.inner.needed()
    }

    fn share(&self, tag: &Tag, digest: &Digest) -> Share {
        self.inner.share(&self.tag(tag), digest)
    }

    fn check_share(&self, party: PartyId, tag: &Tag, digest: &Digest, share: &Share) -> bool {
        self.inner.check_share(party, &self.tag(tag), digest, share)
    }

    fn combine(
        &self,
        tag: &Tag,
        digest: &Digest,
        shares: &[(PartyId, Share)],
    ) -> Result<Certificate, Blame> {
        let certificate = list(shares);
        let culprits = shares.iter().map(|(party, _)| *party).collect();
        if self.check(tag, digest, &certificate) {
            Ok(certificate)
        } else {
            Err(Blame::Culprits(culprits))
        }
    }

    fn check(&self, tag: &Tag, digest: &Digest, certificate: &Certificate) -> bool {
        let Ok(list) = wire::decode::<List>(&certificate.0) else { return false };
        let signers: BTreeSet<_> = list.iter().map(|(party, _)| *party).collect();
        let enough = list.len() >= self.needed() || self.hole == Hole::EmptyList;
        let distinct = signers.len() == list.len() || self.hole == Hole::OneSigner;
        let right =
            |(party, share): &(PartyId, Share)| self.check_share(*party, tag, digest, share);
        enough && distinct && list.iter().all(right)
    }
}

fn list(shares: &[(PartyId, Share)]) -> Certificate {
    Certificate(wire::encode(shares))
}

/// What checks certificates in a run.
#[derive(Clone, Copy, Debug)]
enum Scheme {
    Careless(Hole),
    /// The simulator's.
    Ideal,
    /// The one of `node` and `demo`: signatures on P-256.
    Real,
}

const OURS: [Scheme; 2] = [Scheme::Ideal, Scheme::Real];

fn place(name: &str, party: u16, scheme: Scheme) -> Seat {
    let mut seat = seat(4, party);
    seat.id = InstanceId::root(seat.group.id, Epoch::FIRST, name);
    match scheme {
        Scheme::Ideal => {}
        Scheme::Careless(hole) => {
            let inner = Arc::clone(&seat.keys.quorum);
            seat.keys.quorum = Arc::new(Careless { inner, hole });
        }
        Scheme::Real => seat.keys.quorum = Arc::new(real(party, seat.group.id)),
    }
    seat
}

fn real(party: u16, group: GroupId) -> Multisig {
    let owner = |party: u16| Owner::Party(group, p(party));
    let secret = |party: u16| SecretKey::from_seed(&[party as u8 + 1; 32]);
    let public = (0..4).map(|party| (owner(party), secret(party).public())).collect();
    let identity = P256Identity::new(owner(party), secret(party), Arc::new(public), false);
    Multisig::new(Arc::new(identity), Purpose::Quorum, group, 4, 3)
}

fn stage(name: &str, scheme: Scheme) -> Shuttle<Consistent> {
    let seats = (0..4).map(|party| place(name, party, scheme)).collect();
    Shuttle::of(seats, 1, SPEC)
}

fn digest(text: &str) -> Digest {
    Digest::of("broadcast", text.as_bytes())
}

fn initial(text: &str) -> Message {
    Message::Initial(Bytes::copy_from_slice(text.as_bytes()))
}

/// The shares that have been sent to the liar, and its own.
fn shares(stage: &Shuttle<Consistent>, text: &str) -> List {
    let seat = &stage.seats[LIAR];
    let echoes = stage.pool.iter().filter(|flight| flight.0 == LIAR);
    let theirs = echoes.filter_map(|flight| match read(flight)? {
        (from, _, Message::Echo(share)) => Some((from, share)),
        _ => None,
    });
    let (tag, digest) = (seat.tag("echo"), digest(text));
    let right = |(party, share): &(PartyId, Share)| {
        seat.keys.quorum.check_share(*party, &tag, &digest, share)
    };
    let own = [(p(0), seat.keys.quorum.share(&tag, &digest))];
    own.into_iter().chain(theirs.filter(right)).collect()
}

fn show(stage: &mut Shuttle<Consistent>, to: usize, text: &str, certificate: &Certificate) {
    let certificate = certificate.clone();
    stage.forge(LIAR, to, &Message::Final { digest: digest(text), certificate });
    stage.deliver(|flight| flight.0 == to);
}

/// How many different payloads correct parties delivered.
fn delivered(stage: &Shuttle<Consistent>) -> usize {
    let payload = |output: &Output| match output {
        Output::Delivered(closing) => closing.payload.clone(),
        Output::Offered { .. } => unreachable!("nobody is asked to approve"),
    };
    stage.outputs[1..].iter().flatten().map(payload).collect::<BTreeSet<_>>().len()
}

/// Whether each correct party that was shown something wrong says so.
fn named(stage: &Shuttle<Consistent>) -> bool {
    let bad = |(_, peer, fault): &(PartyId, Peer, Fault)| {
        *peer == Peer::Member(p(0)) && matches!(fault, Fault::BadProof { .. })
    };
    stage.faults.iter().any(bad)
}

/// Two halves are told different things, and shown certificates of nobody.
fn show_empty_lists(scheme: Scheme) -> Shuttle<Consistent> {
    let mut stage = stage("test", scheme);
    stage.mute = vec![LIAR];
    for (to, text) in [(1, "a"), (2, "b"), (3, "b")] {
        stage.forge(LIAR, to, &initial(text));
        stage.deliver(|flight| flight.0 == to);
        for nothing in [list(&[]), Certificate(Bytes::new()), Certificate(vec![0].into())] {
            show(&mut stage, to, text, &nothing);
        }
    }
    stage
}

#[test]
fn a_certificate_of_nobody_convinces_only_the_careless() {
    assert_eq!(delivered(&show_empty_lists(Scheme::Careless(Hole::EmptyList))), 2);
    for scheme in OURS {
        let stage = show_empty_lists(scheme);
        assert_eq!((delivered(&stage), named(&stage)), (0, true), "{scheme:?}");
    }
}

/// One party is told this, one that, and each share counts twice.
fn show_one_share_twice(scheme: Scheme) -> Shuttle<Consistent> {
    let mut stage = stage("test", scheme);
    stage.mute = vec![LIAR];
    for (to, text) in [(1, "a"), (2, "b")] {
        stage.forge(LIAR, to, &initial(text));
        stage.deliver(|flight| flight.0 == to);
        let mut twice = shares(&stage, text);
        assert_eq!(twice.len(), 2, "the liar's and one other");
        twice.push(twice[1].clone());
        let mut three_bits = vec![0b111];
        twice.iter().for_each(|(_, share)| three_bits.extend_from_slice(&share.0));
        let mut two_bits = three_bits.clone();
        two_bits[0] = 1 | 1 << to;
        show(&mut stage, to, text, &list(&twice));
        show(&mut stage, to, text, &Certificate(three_bits.into()));
        show(&mut stage, to, text, &Certificate(two_bits.into()));
        let keys = Arc::clone(&stage.seats[0].keys.quorum);
        if let Ok(made) = keys.combine(&stage.seats[0].tag("echo"), &digest(text), &twice) {
            show(&mut stage, to, text, &made);
        }
    }
    stage
}

#[test]
fn one_signer_twice_is_no_two_signers() {
    assert_eq!(delivered(&show_one_share_twice(Scheme::Careless(Hole::OneSigner))), 2);
    for scheme in OURS {
        let stage = show_one_share_twice(scheme);
        assert_eq!((delivered(&stage), named(&stage)), (0, true), "{scheme:?}");
    }
}

/// In one instance all sign `a`. In another one two sign `b`, and the third is told `a` and shown what
/// was signed in the first: the certificate, and one made of the echo shares anew.
fn replay(scheme: Scheme) -> Shuttle<Consistent> {
    let mut first = stage("first", scheme);
    first.mute = vec![LIAR];
    (1..4).for_each(|to| first.forge(LIAR, to, &initial("a")));
    first.deliver(|flight| flight.0 != LIAR);
    let old = shares(&first, "a");
    assert_eq!(old.len(), 4);
    let keys = Arc::clone(&first.seats[0].keys.quorum);
    let certificate =
        keys.combine(&first.seats[0].tag("echo"), &digest("a"), &old).expect("all signed");
    let closing = Closing { payload: Bytes::from_static(b"a"), certificate };
    assert!(
        closing.check(&first.seats[1].id, &first.seats[1].keys),
        "it is good where it was made"
    );

    let mut second = stage("second", scheme);
    second.mute = vec![LIAR];
    for (to, text) in [(1, "b"), (2, "a"), (3, "b")] {
        second.forge(LIAR, to, &initial(text));
    }
    second.deliver(|flight| flight.0 != LIAR);
    let tag = second.seats[0].tag("echo");
    let good = keys.combine(&tag, &digest("b"), &shares(&second, "b"));
    let good = good.expect("a quorum signed");
    show(&mut second, 1, "b", &good);
    show(&mut second, 2, "a", &closing.certificate);
    if let Ok(anew) = keys.combine(&tag, &digest("a"), &old) {
        show(&mut second, 2, "a", &anew);
    }
    second.input(3, Input::Close(closing));
    second
}

#[test]
fn what_was_signed_in_one_instance_is_worth_nothing_in_another() {
    assert_eq!(delivered(&replay(Scheme::Careless(Hole::NoInstance))), 2);
    for scheme in OURS {
        let stage = replay(scheme);
        assert_eq!((delivered(&stage), named(&stage)), (1, true), "{scheme:?}");
        assert_eq!(stage.outputs[3], [], "a closing of another instance closes nothing");
    }
}

/// A coin whose name does not say in which instance.
#[derive(Debug)]
struct Nameless(Arc<dyn ThresholdCoin>);

impl ThresholdCoin for Nameless {
    fn scheme(&self) -> crypto::Scheme {
        self.0.scheme()
    }

    fn needed(&self) -> usize {
        self.0.needed()
    }

    fn share(&self, _: &Tag) -> Share {
        self.0.share(&nowhere())
    }

    fn check_share(&self, party: PartyId, _: &Tag, share: &Share) -> bool {
        self.0.check_share(party, &nowhere(), share)
    }

    fn combine(&self, _: &Tag, shares: &[(PartyId, Share)]) -> Result<Digest, Blame> {
        self.0.combine(&nowhere(), shares)
    }
}

/// What an adversary can say of the second coin when only the first was tossed, and what the second
/// one shows.
fn foresee(nameless: bool) -> (Option<Digest>, Digest) {
    let stage = |name: &str| {
        let place = |party| {
            let mut seat = place(name, party, Scheme::Ideal);
            if nameless {
                seat.keys.coin = Arc::new(Nameless(Arc::clone(&seat.keys.coin)));
            }
            seat
        };
        Shuttle::<Coin>::of((0..4).map(place).collect(), 1, ())
    };
    let (mut first, mut second) = (stage("first"), stage("second"));
    (0..2).for_each(|party| first.input(party, coin::Input::Toss));
    first.deliver(|(_, mail)| matches!(mail, Mail::Answer { .. }));
    let tossed: List = first
        .pool
        .iter()
        .filter(|flight| flight.0 == 3)
        .filter_map(read)
        .map(|(from, _, coin::Message::Share(share))| (from, share))
        .collect();
    assert_eq!(tossed.len(), 2, "enough to know the first coin");
    let foreseen = second.seats[3].keys.coin.combine(&second.seats[3].tag("coin"), &tossed).ok();
    (0..2).for_each(|party| second.input(party, coin::Input::Toss));
    second.run();
    let [coin::Output::Value(shown)] = second.outputs[0][..] else { panic!("no coin") };
    (foreseen, shown)
}

#[test]
fn a_coin_is_foreseen_only_when_it_has_no_name() {
    let (foreseen, shown) = foresee(true);
    assert_eq!(foreseen, Some(shown));
    assert_eq!(foresee(false).0, None);
}
