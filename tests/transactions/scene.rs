//! Three replicated groups and some clients, each with its plan.

use bytes::Bytes;
use maftia_core::{
    id::{GroupId, PartyId},
    replica::{
        self, Replica,
        service::Service,
        session::{self, Input, Output, Session},
    },
    seat::Owner,
    sim::{Rng, Site, World, adversary::Relents},
    thresholds::Thresholds,
    time::Span,
};
use maftia_tss::{
    client::{Begun, Call, Progress, Session as Book, Transfer},
    manager::{ManagerSpec, TransactionManager},
    refusal::Refusal,
    request::{Ended, View},
    resource::{ResourceManager, ResourceSpec},
    resources::{Account, Answer},
    token::{Seed, Token},
    transaction::{Key, TxId},
};

use crate::rogue::Rogue;

pub(crate) type Manager = TransactionManager;
pub(crate) type Bank = ResourceManager<Account>;

pub(crate) const NAMES: [&str; 3] = ["tm", "left", "right"];
pub(crate) const TM: GroupId = GroupId::new(0);
pub(crate) const LEFT: GroupId = GroupId::new(1);
pub(crate) const RIGHT: GroupId = GroupId::new(2);

/// What is in each account at the beginning.
pub(crate) const INITIAL: i64 = 100;
/// The accounts of each bank.
pub(crate) const ACCOUNTS: [&str; 2] = ["a", "b"];

/// The sum of all balances.
pub(crate) const ALL: i64 = 4 * INITIAL;

/// Long enough for the slowest schedule of a few transactions; few ticks for one whose client left.
const TICK: Span = Span::millis(100_000);
pub(crate) const LEASE: Span = Span::millis(400_000);

/// How often a client looks for the others of its transaction before it agrees without them.
const LOOKS: u8 = 4;

/// An account: of which bank, and which.
pub(crate) type Place = (GroupId, &'static str);

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

/// What a client does when its work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Agrees,
    Aborts,
    Vanishes,
}

/// What a client does: it begins a transaction, or joins the one with this number, which is that of
/// the client that begins it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) deal: usize,
    /// How many clients its transaction will have, if all come.
    pub(crate) party: usize,
    pub(crate) moves: Vec<(Place, Place, i64)>,
    pub(crate) ending: Ending,
}

/// What a client waits for.
enum Pending {
    Begin(Seed, Call<Begun>),
    Join(Token, Call<View>),
    Move { transfer: Transfer, call: Call<Answer>, leg: usize },
    Progress(Call<Progress>),
    Abort(Call<Ended>),
}

enum State {
    Idle,
    Waiting(GroupId, u64, Box<Pending>),
    Gone,
}

struct Teller {
    book: Book,
    /// Its session with each group, and how much it asked there.
    lines: [(Site, u64); 3],
    plan: Plan,
    looks: u8,
    state: State,
}

/// An operation that was done, and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) tx: TxId,
    pub(crate) place: Place,
    pub(crate) answer: Answer,
}

/// The world, and what the clients were told in it.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) begun: Vec<TxId>,
    pub(crate) done: Vec<Done>,
    pub(crate) ended: Vec<Ended>,
    tellers: Vec<Teller>,
    tokens: Vec<Option<Token>>,
    /// How many correct parties are restarted meanwhile.
    restarts: u64,
    pub(crate) rogue: Option<Rogue>,
    /// Until this step letters arrive as the seed has it, and take next to no time.
    pub(crate) unfair: u64,
    /// How many letters are as long as a lease, once letters take time.
    pub(crate) lease: u64,
    dice: Rng,
}

impl Scene {
    /// Groups of these sizes.
    pub(crate) fn new(seed: u64, sizes: [u16; 3]) -> Self {
        Self::with::<Bank>(seed, sizes, |_| false)
    }

    /// A member of a group.
    pub(crate) const fn member(group: GroupId, number: u16) -> Owner {
        Owner::Party(group, PartyId::new(number))
    }

    /// The same, with another service at some members of the banks.
    pub(crate) fn with<S: Service<Spec = ResourceSpec<Account>>>(
        seed: u64,
        sizes: [u16; 3],
        other: impl Fn(Owner) -> bool,
    ) -> Self {
        let lease = sizes.map(|n| 100 * u64::from(n).pow(3)).iter().sum();
        let sizes = sizes.map(|n| Thresholds::asynchronous(n, (n - 1) / 3).unwrap());
        let mut world = World::new(seed, NAMES.into_iter().zip(sizes));
        let mut dice = Rng::new(seed).fork(0x7e11);
        let unfair = *dice.choose(&[1_000, 5_000, 20_000]);
        world.set_adversary(Relents::at(unfair));
        let manager = ManagerSpec { tick: TICK, lease: LEASE, patience: LEASE };
        let manager = replica::Spec::<Manager>::new(manager);
        world.add_group::<Replica<Manager>>(NAMES[0], NAMES[0], |_| manager.clone());
        let initial = ACCOUNTS.into_iter().map(|name| (key(name), INITIAL)).collect();
        let bank = ResourceSpec::new(TM, Account::default(), initial);
        let bank = ResourceSpec { tick: TICK, patience: LEASE, ..bank };
        for name in &NAMES[1..] {
            for owner in world.members(name) {
                let (seat, bank) = (world.seat(owner, name, name), bank.clone());
                if other(owner) {
                    world.add::<Replica<S>>(seat, replica::Spec::<S>::new(bank));
                } else {
                    world.add::<Replica<Bank>>(seat, replica::Spec::<Bank>::new(bank));
                }
            }
        }
        let (begun, done, ended) = (Vec::new(), Vec::new(), Vec::new());
        let (tellers, tokens) = (Vec::new(), Vec::new());
        let (rogue, restarts) = (None, 0);
        Self { world, begun, done, ended, tellers, tokens, restarts, rogue, unfair, lease, dice }
    }

    /// One more client, which lies in one of so many ways.
    pub(crate) fn enter_rogue(&mut self, kind: usize) {
        self.rogue = Some(Rogue::new(&mut self.world, kind));
    }

    /// Restarts correct parties now and then, so many times.
    pub(crate) fn set_restarts(&mut self, restarts: u64) {
        self.restarts = restarts;
    }

    /// One more client. It acts when the scene is played.
    pub(crate) fn enter(&mut self, plan: Plan) -> usize {
        let owner = World::client(&format!("teller {}", self.tellers.len()));
        let Owner::Client(me) = owner else { unreachable!("a client is a client") };
        let spec = session::Spec {
            retry: Span::millis(20_000),
            patience: Span::millis(600_000),
            ..session::Spec::new(1)
        };
        let lines = NAMES.map(|name| {
            let seat = self.world.seat(owner, name, name);
            (self.world.add::<Session>(seat, spec), 0)
        });
        let (book, state) = (Book::new(me, TM), State::Idle);
        self.tellers.push(Teller { book, lines, plan, looks: 0, state });
        self.tokens.push(None);
        self.tellers.len() - 1
    }

    /// Until all clients are gone or have what they wanted.
    ///
    /// # Panics
    /// When one of them waits for ever.
    pub(crate) fn play(&mut self) {
        loop {
            while (0..self.tellers.len()).any(|place| self.act(place)) {}
            if self.tellers.iter().all(|teller| matches!(teller.state, State::Gone)) {
                return;
            }
            if let Some(rogue) = &mut self.rogue
                && self.dice.once_in(2)
            {
                let token = self.tokens.iter().flatten().next().copied();
                rogue.act(&mut self.world, &self.begun, token, &mut self.dice);
            }
            assert!(self.until_heard(), "a client waits for ever");
            if self.restarts > 0 && self.dice.once_in(2) {
                self.restarts -= 1;
                let correct = self.world.correct();
                self.world.restart(*self.dice.choose(&correct));
            }
        }
    }

    /// Asks in the name of a client, and waits.
    ///
    /// # Panics
    /// When no answer comes.
    pub(crate) fn ask<T>(&mut self, place: usize, call: &Call<T>) -> Result<T, Refusal> {
        let number = self.send(place, call);
        loop {
            if let Some(body) = self.answer(place, call.to(), number) {
                return call.read(&body);
            }
            assert!(self.until_heard(), "a client waits for ever");
        }
    }

    /// All sessions of the clients that do not lie.
    pub(crate) fn sessions(&self) -> Vec<Site> {
        self.tellers.iter().flat_map(|teller| teller.lines).map(|(site, _)| site).collect()
    }

    fn send<T>(&mut self, place: usize, call: &Call<T>) -> u64 {
        let (site, asked) = &mut self.tellers[place].lines[call.to().index()];
        *asked += 1;
        self.world.input_to::<Session>(*site, Input::request(call.body()));
        *asked
    }

    /// The answer that enough replicas gave.
    fn answer(&self, place: usize, group: GroupId, request: u64) -> Option<Bytes> {
        let (site, _) = self.tellers[place].lines[group.index()];
        self.world.outputs_of::<Session>(site).iter().find_map(|output| match output {
            Output::Answered { number, body, .. } if *number == request => Some(body.clone()),
            Output::Refused { why, .. } => panic!("a session is refused: {why:?}"),
            _ => None,
        })
    }

    fn wait<T: Clone>(
        &mut self,
        place: usize,
        call: Call<T>,
        pending: impl FnOnce(Call<T>) -> Pending,
    ) -> State {
        let number = self.send(place, &call);
        State::Waiting(call.to(), number, Box::new(pending(call)))
    }

    /// One client makes a move, if it can.
    fn act(&mut self, place: usize) -> bool {
        let state = std::mem::replace(&mut self.tellers[place].state, State::Gone);
        let (state, acted) = match state {
            State::Gone => (State::Gone, false),
            State::Idle => match self.decide(place) {
                Some(state) => (state, true),
                None => (State::Idle, false),
            },
            State::Waiting(group, number, pending) => match self.answer(place, group, number) {
                Some(body) => (self.hear(place, *pending, &body), true),
                None => (State::Waiting(group, number, pending), false),
            },
        };
        self.tellers[place].state = state;
        acted
    }

    fn decide(&mut self, place: usize) -> Option<State> {
        let teller = &mut self.tellers[place];
        let (book, plan) = (&teller.book, &teller.plan);
        let Some(view) = book.view() else {
            if plan.deal == place {
                let seed = Seed::new([place as u8; 16]);
                let call = book.begin(&seed, None);
                return Some(self.wait(place, call, |call| Pending::Begin(seed, call)));
            }
            let token = self.tokens[plan.deal]?;
            let call = book.join(&token);
            return Some(self.wait(place, call, |call| Pending::Join(token, call)));
        };
        if let Some((from, to, amount)) = plan.moves.first() {
            let (from, to) = ((from.0, key(from.1)), (to.0, key(to.1)));
            let transfer = book.transfer(from, to, *amount).unwrap();
            let call = transfer.call()?;
            let pending = |call| Pending::Move { transfer, call, leg: 0 };
            return Some(self.wait(place, call, pending));
        }
        Some(match plan.ending {
            Ending::Vanishes => State::Gone,
            Ending::Aborts => {
                let call = book.abort("changed my mind").unwrap();
                self.wait(place, call, Pending::Abort)
            }
            Ending::Agrees => {
                let alone = view.members.len() < plan.party && teller.looks < LOOKS;
                let looks = alone || teller.looks == 0;
                let call = if looks { book.look() } else { book.commit(true) }.unwrap();
                teller.looks += 1;
                self.wait(place, call, Pending::Progress)
            }
        })
    }

    fn hear(&mut self, place: usize, pending: Pending, body: &[u8]) -> State {
        let Teller { book, plan, .. } = &mut self.tellers[place];
        let aborts = matches!(pending, Pending::Abort(_));
        let next = match pending {
            Pending::Begin(seed, call) => call.read(body).map(|begun| {
                let token = book.began(seed, begun);
                self.tokens[plan.deal] = Some(token);
                self.begun.push(token.tx());
                State::Idle
            }),
            Pending::Join(token, call) => call.read(body).map(|view| {
                book.joined(token, view);
                State::Idle
            }),
            Pending::Move { transfer, call, leg } => {
                return self.moved(place, transfer, call.read(body), leg);
            }
            Pending::Progress(call) => call.read(body).map(|progress| {
                book.progressed(&progress);
                let Progress::Ended(ended) = progress else { return State::Idle };
                self.ended.push(ended);
                State::Gone
            }),
            Pending::Abort(call) => call.read(body).map(|ended| {
                self.ended.push(ended);
                State::Gone
            }),
        };
        match next {
            Ok(state) => state,
            Err(_) if aborts => State::Gone,
            Err(refusal) => self.refused(place, &refusal),
        }
    }

    /// A leg of a transfer is over: the withdrawal, the deposit, or the return.
    fn moved(
        &mut self,
        place: usize,
        mut transfer: Transfer,
        answer: Result<Answer, Refusal>,
        leg: usize,
    ) -> State {
        let teller = &mut self.tellers[place];
        let (from, to, _) = teller.plan.moves[0];
        if let (Ok(answer), Some(tx)) = (&answer, teller.book.tx()) {
            self.done.push(Done { tx, place: [from, to, from][leg], answer: answer.clone() });
        }
        transfer.heard(answer);
        match (transfer.call(), transfer.result().cloned()) {
            (Some(call), _) => {
                self.wait(place, call, |call| Pending::Move { transfer, call, leg: leg + 1 })
            }
            (None, Some(Err(refusal))) => self.refused(place, &refusal),
            (None, _) => {
                teller.plan.moves.remove(0);
                State::Idle
            }
        }
    }

    /// Whoever is refused gives up, and aborts what still stands.
    fn refused(&mut self, place: usize, refusal: &Refusal) -> State {
        match self.tellers[place].book.abort("refused") {
            Ok(call) if !Book::is_over(refusal) => self.wait(place, call, Pending::Abort),
            _ => State::Gone,
        }
    }
}
