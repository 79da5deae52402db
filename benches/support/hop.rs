//! Two actors that answer each other: bare ones, and two of a party.

use std::{
    any::Any,
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Addr, Context, Handler, Message};
use bytes::Bytes;
use maftia_actors::{
    link::{Links, Passport},
    log::{Durable, Inscribe, Log, LogError, Lsn, Recovered, Snapshot, Store},
    party::{Party, Setup},
    placement::Placement,
    pool::Pool,
};
use maftia_core::{
    children::Children,
    crypto::{Digest, Job},
    effects::{Effects, Lane, To},
    fault::Fault,
    host::{Alarm, Detached, Host, Outside},
    id::Peer,
    mail::Mail,
    path::{InstanceId, Role, Segment},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
    time::Span,
    tree::Tree,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Child,
    support::{group, median, thread_time},
};

/// Messages that one measurement passes.
const HOPS: u64 = 400_000;

/// A message of the size of a letter, which is a piece of mail and the way that it came.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Bare<P: Protocol> {
    mail: Mail<P>,
    _way: [u64; 5],
}

fn bare<P: Protocol>(mail: Mail<P>) -> Bare<P> {
    Bare { mail, _way: [0; 5] }
}

/// A bare actor that takes messages for a `P` and answers with messages for a `Q`.
struct Actress<P: Protocol, Q: Protocol> {
    step: Step<P, Q>,
    peer: Option<Addr<Actress<Q, P>>>,
    left: Rc<Cell<u64>>,
}

/// What it does with a message.
type Step<P, Q> = Box<dyn FnMut(Mail<P>) -> Mail<Q>>;

impl<P: Protocol, Q: Protocol> Actor for Actress<P, Q> {
    type Context = Context<Self>;
}

impl<P: Protocol, Q: Protocol> Handler<Bare<P>> for Actress<P, Q> {
    type Result = ();

    fn handle(&mut self, message: Bare<P>, _: &mut Context<Self>) {
        let answer = (self.step)(message.mail);
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        if left > 0
            && let Some(peer) = &self.peer
        {
            peer.try_send(bare(answer)).expect("there is room");
        }
    }
}

/// Names the peer, or parts from it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Meet<A: Actor>(Option<Addr<A>>);

impl<P: Protocol, Q: Protocol> Handler<Meet<Actress<Q, P>>> for Actress<P, Q> {
    type Result = ();

    fn handle(&mut self, Meet(peer): Meet<Actress<Q, P>>, _: &mut Context<Self>) {
        self.peer = peer;
    }
}

/// A host that notes the last ask, or the last output.
#[derive(Default)]
struct Last(u64, u64);

impl Outside for Last {
    fn send(&mut self, _: To, _: &InstanceId, _: Lane, _: Bytes) {}
    fn arm(&mut self, _: Alarm, _: Span) {}
    fn compute(&mut self, _: &InstanceId, _: Job) {}
    fn accuse(&mut self, _: &InstanceId, _: Peer, _: Fault) {}
}

impl Host<Child> for Last {
    fn output(&mut self, number: u64, output: u64) {
        *self = Self(number, output);
    }
}

impl Host<Caller> for Last {
    fn output(&mut self, _: u64, (): ()) {}

    fn detaches(&self, kind: Kind) -> bool {
        kind == Child::KIND
    }

    fn ask_detached<C: Protocol>(
        &mut self,
        _: Detached<C, Caller>,
        input: Option<(u64, C::Input)>,
    ) {
        let (number, input) = input.expect("a caller asks");
        let input: &dyn Any = &input;
        *self = Self(number, *input.downcast_ref().expect("of its child"));
    }
}

/// The steps that a caller and its child take.
fn steps(window: u64) -> (Step<Caller, Child>, Step<Child, Caller>) {
    let seat = group(4).0[0].clone();
    let (mut caller, mut host) = (Tree::<Caller>::new(seat.clone(), ()), Last::default());
    caller.take(Mail::Input { number: 0, input: (window, u64::MAX) }, &mut host);
    let at = Role::Other.only();
    let mut child = Tree::<Child>::new(seat.child(at), ());
    let calling = Box::new(move |mail| {
        let mut host = Last::default();
        caller.take(mail, &mut host);
        Mail::Input { number: host.0, input: host.1 }
    });
    let answering = Box::new(move |mail| {
        let mut host = Last::default();
        child.take(mail, &mut host);
        Mail::Heard { from: at, number: host.0, heard: host.1 }
    });
    (calling, answering)
}

/// The same without trees.
fn counts(_: u64) -> (Step<Caller, Child>, Step<Child, Caller>) {
    let (mut heard, mut asked) = (0, 0);
    let calling = Box::new(move |_| {
        heard += 1;
        Mail::Input { number: heard, input: 1 }
    });
    let answering = Box::new(move |_| {
        asked += 1;
        Mail::Heard { from: Role::Other.only(), number: asked, heard: 1 }
    });
    (calling, answering)
}

/// Nanoseconds a message since then.
fn since(start: Duration) -> f64 {
    thread_time().saturating_sub(start).as_secs_f64() * 1e9 / HOPS as f64
}

/// Nanoseconds a message between two bare actors that take these steps.
async fn actresses(window: u64, steps: (Step<Caller, Child>, Step<Child, Caller>)) -> f64 {
    let left = Rc::new(Cell::new(HOPS));
    let (calls, answers) = (Rc::clone(&left), Rc::clone(&left));
    let caller = Actress::create(|context: &mut Context<Actress<Caller, Child>>| {
        context.set_mailbox_capacity(1_024);
        Actress { step: steps.0, peer: None, left: calls }
    });
    let child = Actress::create(|context: &mut Context<Actress<Child, Caller>>| {
        context.set_mailbox_capacity(1_024);
        Actress { step: steps.1, peer: None, left: answers }
    });
    caller.try_send(Meet(Some(child.clone()))).expect("there is room");
    child.try_send(Meet(Some(caller.clone()))).expect("there is room");
    tokio::task::yield_now().await;
    let start = thread_time();
    for number in 1..=window {
        child.try_send(bare(Mail::Input { number, input: 1 })).expect("there is room");
    }
    while left.get() > 0 {
        tokio::task::yield_now().await;
    }
    let spent = since(start);
    caller.try_send(Meet(None)).expect("there is room");
    child.try_send(Meet(None)).expect("there is room");
    spent
}

/// Asks its child as often as it is told, with some asks out at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Caller {
    left: u64,
}

impl Protocol for Caller {
    const KIND: Kind = Kind("caller");
    type Spec = ();
    type Input = (u64, u64);
    type Output = ();
    type Message = Never;
    type Timer = Never;
    type Ask = u64;
    type Heard = u64;

    fn new(_: &Seat, (): ()) -> Self {
        Self { left: 0 }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input((window, total)) => {
                self.left = total;
                (0..window).for_each(|_| fx.ask(1));
            }
            Event::Heard(sum) if self.left > 0 => {
                self.left -= 1;
                if self.left == 0 {
                    fx.output(());
                } else {
                    fx.ask(sum & 1);
                }
            }
            _ => {}
        }
    }

    fn route<C: Children<Self>>(number: u64, children: &mut C) {
        children.ask::<Child>(Role::Other.only(), (), Some(number), |_: &Segment, sum| sum);
    }
}

/// A log that remembers nothing: what a hop costs without one.
struct Forgetful(Lsn, watch::Sender<Durable>);

impl Log for Forgetful {
    fn append(&mut self, _: &dyn Inscribe) -> Lsn {
        self.0 += 1;
        self.0
    }

    fn commit(&mut self) {}

    fn durable(&self) -> watch::Receiver<Durable> {
        self.1.subscribe()
    }

    fn grown(&self) -> u64 {
        0
    }

    fn replace(&mut self, _: Snapshot) {}

    fn reread(&mut self) -> Result<Recovered, LogError> {
        Ok(Recovered::default())
    }

    fn flush(&mut self) {}
}

/// Nanoseconds a hop between two instances of one party.
async fn instances(window: u64, log: Box<dyn Log>) -> f64 {
    let (seats, known) = group(4);
    let seat = seats[0].clone();
    let done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&done);
    let links = Links::new(Passport {
        me: seat.owner,
        identity: Arc::clone(&seat.keys.identity),
        network: Digest::of("bench", b""),
        known,
        key: None,
        guests: None,
    });
    let setup = Setup::<Caller> {
        seat,
        spec: (),
        log,
        recovered: Recovered::default(),
        links,
        pool: Pool::new(1),
        placement: Placement::detached([Child::KIND]),
        outputs: Box::new(move |()| told.store(true, Ordering::Relaxed)),
        control: Box::new(|_, _, _| {}),
    };
    let started = Party::start(setup).expect("a fresh party");
    tokio::task::yield_now().await;
    let start = thread_time();
    started.root.try_ask((window, HOPS / 2)).expect("it lives");
    while !done.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    let spent = since(start);
    started.party.stop("it was measured");
    spent
}

/// Measures all in turn, so often, and prints medians in nanoseconds.
pub(crate) async fn compare(window: u64, rounds: usize) {
    let (mut plain, mut stepping) = (Vec::new(), Vec::new());
    let (mut hop, mut logged) = (Vec::new(), Vec::new());
    let forgetful = || Forgetful(0, watch::channel(Durable::UpTo(Lsn::MAX)).0);
    for _ in 0..rounds {
        plain.push(actresses(window, counts(window)).await);
        stepping.push(actresses(window, steps(window)).await);
        hop.push(instances(window, Box::new(forgetful())).await);
        logged.push(instances(window, Box::new(Store::default().open().0)).await);
    }
    let [plain, stepping, hop, logged] = [plain, stepping, hop, logged].map(median);
    println!("  two actors that answer each other, {window} on the way at a time:");
    println!("    bare actix messages: {plain:.0} ns; with the same steps: {stepping:.0} ns");
    println!("    a hop: {hop:.0} ns, {:.2} of the latter", hop / stepping);
    println!("    a hop with its log record: {logged:.0} ns");
}
