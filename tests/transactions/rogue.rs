//! A client that lies: to the groups, in other clients' transactions, and with its authenticators.

use std::sync::Arc;

use bytes::Bytes;
use maftia_core::{
    id::{ClientId, GroupId},
    protocol::Protocol,
    replica::{
        Asked, Message, Request,
        session::{self, Input, Output, Session},
    },
    seat::{Owner, Seat},
    sim::{
        Rng, Site, World,
        behaviour::{Behaviour, Corrupted, Crash, Forge, Outgoing, Replay},
    },
    time::Span,
    wire::{decode, encode},
};
use maftia_tss::{
    client::{Call, begin, operate},
    request::{Agreed, ManagerRequest},
    resources::Operation,
    token::{Seed, Token},
    transaction::TxId,
};

use crate::scene::{ACCOUNTS, LEFT, NAMES, RIGHT, TM, key};

/// How many ways to lie there are.
pub(crate) const KINDS: usize = 4;

/// The most that it asks in all.
const REQUESTS: usize = 12;

/// Whether an answer grants what was asked.
type Granted = Box<dyn Fn(&[u8]) -> bool>;

/// A corrupted client, its sessions, and what it asked without any right.
pub(crate) struct Rogue {
    pub(crate) owner: Owner,
    me: ClientId,
    lines: [(Site, u64); 3],
    left: usize,
    grabs: Vec<(Site, u64, Granted)>,
}

/// Says one thing to every other replica and something else to the rest, under one number and with
/// good authenticators.
#[derive(Clone, Debug)]
struct TwoTongues(Arc<[Seat]>);

/// Gives good authenticators to some replicas only.
#[derive(Clone, Copy, Debug)]
struct HalfSealed;

/// Changes a request on its way to a replica.
fn change(frame: &mut Outgoing, with: impl FnOnce(&mut Request)) {
    if frame.kind == Some(Session::KIND)
        && let Ok(Message::Request(mut request)) = decode(&frame.bytes)
    {
        with(&mut request);
        frame.bytes = encode(&Message::Request(request));
    }
}

impl Behaviour for TwoTongues {
    fn name(&self) -> &'static str {
        "two-tongues"
    }

    fn send(&mut self, mut frame: Outgoing, cx: &mut Corrupted<'_>) {
        if let Owner::Party(group, party) = frame.to
            && party.number() % 2 == 1
        {
            let seat = &self.0[group.index()];
            change(&mut frame, |request| {
                let body = match group {
                    TM => begin(
                        TM,
                        &Seed::new([request.commands[0].number.count() as u8; 16]),
                        None,
                        None,
                    )
                    .body(),
                    _ => Bytes::from_static(b"something else"),
                };
                let number = request.commands[0].number;
                let commands = vec![Asked { number, body }];
                *request = Request::sealed(seat, request.client, commands);
            });
        }
        cx.send(frame);
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

impl Behaviour for HalfSealed {
    fn name(&self) -> &'static str {
        "half-sealed"
    }

    fn send(&mut self, mut frame: Outgoing, cx: &mut Corrupted<'_>) {
        let spoiled = cx.rng.number();
        change(&mut frame, |request| {
            for (place, mac) in request.macs.iter_mut().enumerate() {
                mac.0[0] ^= (spoiled >> place & 1) as u8;
            }
        });
        cx.send(frame);
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(*self)
    }
}

impl Rogue {
    pub(crate) fn new(world: &mut World, kind: usize) -> Self {
        let owner = World::client("rogue");
        let Owner::Client(me) = owner else { unreachable!("a client is a client") };
        let spec = session::Spec { retry: Span::millis(20_000), ..session::Spec::new(1) };
        let seats: Arc<[Seat]> =
            NAMES.iter().map(|name| world.seat(owner, name, name)).collect::<Vec<_>>().into();
        let sites: Vec<Site> =
            seats.iter().map(|seat| world.add::<Session>(seat.clone(), spec)).collect();
        let behaviour: Box<dyn Behaviour> = match kind % KINDS {
            0 => Box::new(TwoTongues(seats)),
            1 => Box::new(HalfSealed),
            2 => Box::new(Replay::default()),
            _ => Box::new(Forge),
        };
        world.corrupt_boxed(owner, behaviour);
        let lines = [(sites[0], 0), (sites[1], 0), (sites[2], 0)];
        Self { owner, me, lines, left: REQUESTS, grabs: Vec::new() }
    }

    /// Asks something, if it has not asked enough. It knows all that other clients know but their
    /// keys: which transactions there are, and the proofs with which they joined.
    pub(crate) fn act(
        &mut self,
        world: &mut World,
        known: &[TxId],
        token: Option<Token>,
        rng: &mut Rng,
    ) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let bank = *rng.choose(&[LEFT, RIGHT]);
        let account = key(ACCOUNTS[rng.below(ACCOUNTS.len())]);
        let begin = begin(TM, &Seed::new([0xee; 16]), None, None).body();
        let deposit = operate(bank, None, account.clone(), Operation::Deposit(50));
        let Some(tx) = known.get(rng.below(known.len() + 1)).copied() else {
            // It may work in a transaction of its own, but it never agrees to commit one.
            let own = TxId::new(TM, rng.below(6) as u64);
            let work = operate(bank, Some(own), account, Operation::Deposit(50)).body();
            return self.ask(world, bank, work);
        };
        match rng.below(8) {
            0 => self.ask(world, TM, begin),
            1 => self.ask(world, bank, noise(rng)),
            2 => {
                let forged = Token::new(tx, Seed::new([0xef; 16])).prove(self.me);
                self.grab(world, TM, encode(&ManagerRequest::Join { tx, proof: forged }));
            }
            3 => {
                let Some(token) = token else { return };
                let of_another = token.prove(ClientId::of_key(&tx_digest(tx)));
                let join = ManagerRequest::Join { tx: token.tx(), proof: of_another };
                self.grab(world, TM, encode(&join));
            }
            4 => {
                let agreed = Agreed { epoch: 1, digest: tx_digest(tx) };
                self.grab(world, TM, encode(&ManagerRequest::Commit { tx, agreed, wait: true }));
            }
            5 => self.grab(world, TM, encode(&ManagerRequest::Abort { tx, text: "no".into() })),
            6 => self.operate(world, &operate(bank, Some(tx), account, Operation::Deposit(50))),
            _ => self.operate(world, &deposit),
        }
    }

    fn ask(&mut self, world: &mut World, group: GroupId, body: Bytes) {
        let (site, asked) = &mut self.lines[group.index()];
        *asked += 1;
        world.input_to::<Session>(*site, Input::request(body));
    }

    fn operate<T: 'static>(&mut self, world: &mut World, call: &Call<T>) {
        self.ask(world, call.to(), call.body());
        let (site, number) = self.lines[call.to().index()];
        let call = call.clone();
        self.grabs.push((site, number, Box::new(move |answer| call.read(answer).is_ok())));
    }

    fn grab(&mut self, world: &mut World, group: GroupId, body: Bytes) {
        self.ask(world, group, body);
        let (site, number) = self.lines[group.index()];
        self.grabs.push((site, number, Box::new(grants)));
    }

    /// How many requests it made of the transaction managers.
    pub(crate) fn asked_managers(&self) -> u64 {
        self.lines[TM.index()].1
    }

    /// Stops for ever, its own sessions included.
    pub(crate) fn stop(&self, world: &mut World) {
        world.corrupt(self.owner, Crash::after(0));
    }

    /// The first of its requests that was granted though it had no right, and the answer.
    pub(crate) fn granted(&self, world: &World) -> Option<(u64, Bytes)> {
        self.grabs.iter().find_map(|(site, asked, granted)| {
            world.outputs_of::<Session>(*site).iter().find_map(|output| match output {
                Output::Answered { number, body, .. } if number == asked && granted(body) => {
                    Some((*number, body.clone()))
                }
                _ => None,
            })
        })
    }
}

fn tx_digest(tx: TxId) -> maftia_core::crypto::Digest {
    maftia_core::crypto::Digest::of("some", &tx.number().to_le_bytes())
}

fn noise(rng: &mut Rng) -> Bytes {
    let mut bytes = vec![0; rng.below(64)];
    rng.fill(&mut bytes);
    bytes.into()
}

/// Whether a transaction manager let it into a transaction, counted its vote, or ended one for it.
fn grants(answer: &[u8]) -> bool {
    use maftia_tss::request::ManagerReply::{Ended, Joined, Open, Stale};
    match decode(answer) {
        Ok(Joined(_) | Open(_) | Stale(_)) => true,
        Ok(Ended(ended)) => ended.fresh,
        _ => false,
    }
}
