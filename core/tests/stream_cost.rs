//! What a round of each engine costs when nobody lies: frames, bytes, signatures, time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use maftia_core::{
    crypto::{
        Blame, Certificate, Digest, Identity, Job, Keys, Mac, P256Identity, Purpose, Scheme,
        SecretKey, Share, Signature, ThresholdSignature, threshold::multisig::Multisig,
    },
    effects::{Lane, To},
    fault::Fault,
    host::{Alarm, Host, Outside},
    id::{Epoch, GroupId, PartyId, Peer, Slot},
    mail::Mail,
    path::{InstanceId, Tag},
    protocol::Protocol,
    seat::{Directory, Owner, Seat},
    sim::ideal,
    stream::{
        atomic::{Atomic, Input, Output},
        batch::Batch,
        certified::Certified,
    },
    thresholds::Thresholds,
    time::Span,
    tree::Tree,
};

/// What was done so far, by all parties together.
#[derive(Debug, Default)]
struct Meter {
    frames: AtomicU64,
    bytes: AtomicU64,
    signed: AtomicU64,
    verified: AtomicU64,
}

impl Meter {
    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    fn read(&self) -> [u64; 4] {
        [&self.frames, &self.bytes, &self.signed, &self.verified]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Keys that count what they are used for.
#[derive(Debug)]
struct Metered<T: ?Sized>(Arc<Meter>, Arc<T>);

impl Identity for Metered<dyn Identity> {
    fn sign(&self, tag: &Tag, digest: &Digest) -> Signature {
        Meter::add(&self.0.signed, 1);
        self.1.sign(tag, digest)
    }

    fn verify(&self, signer: Owner, tag: &Tag, digest: &Digest, signature: &Signature) -> bool {
        Meter::add(&self.0.verified, 1);
        self.1.verify(signer, tag, digest, signature)
    }

    fn authenticate(&self, other: Owner, tag: &Tag, digest: &Digest) -> Option<Mac> {
        self.1.authenticate(other, tag, digest)
    }

    fn check(&self, other: Owner, tag: &Tag, digest: &Digest, mac: &Mac) -> bool {
        self.1.check(other, tag, digest, mac)
    }
}

impl ThresholdSignature for Metered<dyn ThresholdSignature> {
    fn scheme(&self) -> Scheme {
        self.1.scheme()
    }

    fn needed(&self) -> usize {
        self.1.needed()
    }

    fn share(&self, tag: &Tag, digest: &Digest) -> Share {
        Meter::add(&self.0.signed, 1);
        self.1.share(tag, digest)
    }

    fn check_share(&self, party: PartyId, tag: &Tag, digest: &Digest, share: &Share) -> bool {
        Meter::add(&self.0.verified, 1);
        self.1.check_share(party, tag, digest, share)
    }

    fn combine(
        &self,
        tag: &Tag,
        digest: &Digest,
        shares: &[(PartyId, Share)],
    ) -> Result<Certificate, Blame> {
        Meter::add(&self.0.verified, self.1.needed() as u64);
        self.1.combine(tag, digest, shares)
    }

    fn check(&self, tag: &Tag, digest: &Digest, certificate: &Certificate) -> bool {
        Meter::add(&self.0.verified, self.1.needed() as u64);
        self.1.check(tag, digest, certificate)
    }
}

/// Any engine.
trait Stream: Protocol<Input = Input, Output = Output, Spec: Default> {}
impl<S: Protocol<Input = Input, Output = Output, Spec: Default>> Stream for S {}

/// A group whose frames arrive in the order in which they were sent.
struct Group<S: Stream> {
    meter: Arc<Meter>,
    trees: Vec<Tree<S>>,
    control: VecDeque<(usize, Mail<S>)>,
    bulk: VecDeque<(usize, Mail<S>)>,
    ordered: Vec<u64>,
    rounds: u64,
}

/// What a party sees while it takes a piece of mail.
struct Desk<'a, S: Stream> {
    me: usize,
    n: usize,
    keys: Keys,
    meter: &'a Meter,
    control: &'a mut VecDeque<(usize, Mail<S>)>,
    bulk: &'a mut VecDeque<(usize, Mail<S>)>,
    outputs: Vec<Output>,
}

impl<S: Stream> Outside for Desk<'_, S> {
    fn send(&mut self, to: To, instance: &InstanceId, lane: Lane, bytes: Bytes) {
        for party in (0..self.n).filter(|party| *party != self.me) {
            let addressed = to == To::Everyone || to == To::Member(id(party));
            if addressed {
                Meter::add(&self.meter.frames, 1);
                Meter::add(&self.meter.bytes, bytes.len() as u64);
                let from = Peer::Member(id(self.me));
                let mail = Mail::Frame { from, instance: instance.clone(), bytes: bytes.clone() };
                match lane {
                    Lane::Control => self.control.push_back((party, mail)),
                    Lane::Bulk => self.bulk.push_back((party, mail)),
                }
            }
        }
    }

    fn arm(&mut self, _: Alarm, _: Span) {
        unreachable!("the stream sets no alarm");
    }

    fn compute(&mut self, id: &InstanceId, job: Job) {
        let answer = job.perform(&self.keys);
        self.control.push_back((self.me, Mail::Answer { job: id.clone(), answer }));
    }

    fn accuse(&mut self, instance: &InstanceId, peer: Peer, fault: Fault) {
        panic!("{instance}: {peer} is accused: {fault}");
    }
}

impl<S: Stream> Host<S> for Desk<'_, S> {
    fn output(&mut self, _: u64, output: Output) {
        self.outputs.push(output);
    }
}

fn id(party: usize) -> PartyId {
    PartyId::new(u16::try_from(party).expect("a small group"))
}

/// The keys of each member: signatures as in production if `real`, else ideal ones. Coins are ideal.
fn keys(directory: &Directory, real: bool, meter: &Arc<Meter>) -> Vec<Keys> {
    let group = &directory.groups()[0];
    let owners: Vec<_> =
        PartyId::all(group.thresholds.n()).map(|party| Owner::Party(group.id, party)).collect();
    let secret = |owner: &Owner| {
        let Owner::Party(_, party) = owner else { unreachable!() };
        SecretKey::from_seed(&[party.number().to_le_bytes()[0]; 32])
    };
    let public: Arc<BTreeMap<_, _>> =
        Arc::new(owners.iter().map(|owner| (*owner, secret(owner).public())).collect());
    let keys_of = |owner: &Owner| {
        let mut keys = ideal::keys([1; 32], *owner, Some(group), directory);
        if real {
            let p256 = P256Identity::new(*owner, secret(owner), Arc::clone(&public), false);
            let p256 = Arc::new(p256);
            let (n, quorum) = (group.thresholds.n(), group.thresholds.quorum());
            let multisig = Multisig::new(Arc::clone(&p256), Purpose::Quorum, group.id, n, quorum);
            keys.identity = p256;
            keys.quorum = Arc::new(multisig);
        }
        keys.identity = Arc::new(Metered(Arc::clone(meter), keys.identity));
        keys.quorum = Arc::new(Metered(Arc::clone(meter), keys.quorum));
        keys
    };
    owners.iter().map(keys_of).collect()
}

impl<S: Stream> Group<S> {
    fn new(n: u16, real: bool) -> Self {
        let thresholds = Thresholds::asynchronous(n, (n - 1) / 3).expect("the bound holds");
        let directory = Arc::new(Directory::new([("orders".into(), thresholds)]));
        let group = Arc::new(directory.groups()[0].clone());
        let meter = Arc::new(Meter::default());
        let seat = |(party, keys)| Seat {
            id: InstanceId::root(GroupId::new(0), Epoch::FIRST, "orders"),
            owner: Owner::Party(group.id, id(party)),
            group: Arc::clone(&group),
            directory: Arc::clone(&directory),
            keys,
        };
        let all = keys(&directory, real, &meter);
        let trees =
            all.into_iter().enumerate().map(seat).map(|seat| Tree::new(seat, S::Spec::default()));
        let mut this = Self {
            meter,
            trees: trees.collect(),
            control: VecDeque::new(),
            bulk: VecDeque::new(),
            ordered: vec![0; n.into()],
            rounds: 0,
        };
        for party in 0..usize::from(n) {
            this.take(party, Mail::Start);
            this.input(party, Input::Pull { up_to: Slot::new(u64::MAX) });
        }
        this
    }

    fn input(&mut self, party: usize, input: Input) {
        self.take(party, Mail::Input { number: 0, input });
    }

    fn take(&mut self, party: usize, mail: Mail<S>) {
        let mut desk = Desk {
            me: party,
            n: self.trees.len(),
            keys: self.trees[party].seat().keys.clone(),
            meter: &self.meter,
            control: &mut self.control,
            bulk: &mut self.bulk,
            outputs: vec![],
        };
        self.trees[party].take(mail, &mut desk);
        for output in desk.outputs {
            match output {
                Output::Deliver { batch, .. } => self.ordered[party] += batch.len() as u64,
                Output::RoundEnd { .. } if party == 0 => self.rounds += 1,
                _ => {}
            }
        }
    }

    fn run(&mut self) {
        while let Some((party, mail)) = self.control.pop_front().or_else(|| self.bulk.pop_front()) {
            self.take(party, mail);
        }
    }
}

/// One payload, and one round: what it takes.
fn cost_of_a_round<S: Stream>(n: u16) -> [u64; 4] {
    let mut group = Group::<S>::new(n, false);
    let mut cost = [0; 4];
    // The second round shows what every later one costs.
    for _ in 0..2 {
        let before = group.meter.read();
        group.input(0, Input::Submit { batch: Batch::of(["x".repeat(512)]) });
        group.run();
        let after = group.meter.read();
        cost = std::array::from_fn(|which| after[which] - before[which]);
    }
    assert_eq!((group.rounds, group.ordered), (2, vec![2; n.into()]));
    cost
}

/// What a round takes at most, for one payload: `engine`, its size, frames, and signatures made.
fn check_round<S: Stream>(n: u16, frames_max: u64, signed: u64) {
    let [frames, bytes, signatures, verified] = cost_of_a_round::<S>(n);
    println!(
        "{}, n = {n}: {frames} frames, {bytes} bytes, {signatures} signatures made and {verified} \
         looked at, for one payload of 512 bytes",
        S::KIND
    );
    assert!(frames <= frames_max, "n = {n}: {frames} frames");
    assert_eq!(signatures, signed, "n = {n}");
}

/// One signature for each batch, and one of each for each proposal.
#[test]
fn a_round_takes_so_many_frames_and_signatures_and_no_more() {
    check_round::<Atomic>(4, 250, 20);
    check_round::<Atomic>(7, 700, 56);
}

/// The same, and one of each for a head, however many batches lead there.
#[test]
fn lanes_add_a_receipt_to_a_round() {
    check_round::<Certified>(4, 140, 24);
    check_round::<Certified>(7, 450, 63);
}

/// CPU time of this thread, in nanoseconds.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = stat.split_whitespace().next().and_then(|spent| spent.parse().ok());
    spent.expect("Linux tells the CPU time of a thread")
}

/// What a payload takes of all four members, in batches of so many.
fn measure<S: Stream>(size: usize, batch: usize) {
    let mut group = Group::<S>::new(4, true);
    let payloads = Batch::of(vec![vec![7; size]; batch]);
    let rounds = if batch > 100 { 40 } else { 100 };
    let start = cpu();
    for _ in 0..rounds {
        for party in 0..4 {
            group.input(party, Input::Submit { batch: payloads.clone() });
        }
        group.run();
    }
    let (spent, ordered) = (cpu() - start, group.ordered[0]);
    println!(
        "{}, batches of {batch} times {size} bytes: {} ns of CPU for each of {ordered} payloads, over \
         all four; {} us for each of {} rounds",
        S::KIND,
        spent / ordered,
        spent / 1_000 / group.rounds,
        group.rounds,
    );
    assert_eq!(ordered, (4 * rounds * batch) as u64);
}

/// `cargo test --release -p maftia-core --features sim --test stream_cost -- --ignored --nocapture`
#[test]
#[ignore = "measures time"]
fn a_payload_takes_so_many_microseconds_at_saturation() {
    for batch in [1, 100, 1_000, 4_000, 8_000] {
        measure::<Atomic>(512, batch);
    }
    for batch in [1, 100, 1_000, 4_000] {
        measure::<Certified>(256, batch);
    }
}
