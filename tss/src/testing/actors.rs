//! Clients that work in common transactions, in random order, and sometimes change their minds or
//! vanish.

use maftia_core::{
    id::{ClientId, GroupId},
    replica::Number,
};

use super::world::{TM, World, client};
use crate::{
    client::{Begun, Call, Progress, begin, commit, join, operate, outcome},
    refusal::Refusal,
    request::{Ended, View},
    resources::{Answer, Operation, Resource},
    token::{Seed, Token},
    transaction::{Key, TxId},
};

/// What one client is to do in a transaction.
pub(crate) type Work = Vec<(GroupId, Key, Operation)>;

/// An operation that was done, and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) tx: TxId,
    pub(crate) group: GroupId,
    pub(crate) key: Key,
    pub(crate) operation: Operation,
    pub(crate) answer: Answer,
}

/// A transaction of some clients: the first begins it, the others join.
pub(crate) struct Deal {
    seed: Seed,
    token: Option<Token>,
    members: Vec<Member>,
}

struct Member {
    client: ClientId,
    /// How many clients must have joined before this one agrees.
    party: usize,
    work: Work,
    state: State,
}

/// What a member waits for.
enum State {
    Away,
    Beginning(Number, Call<Begun>),
    Joining(Number, Call<View>),
    Idle,
    Operating(Number, Call<Answer>),
    Looking(Number, Call<Progress>),
    Voting(Number, Call<Progress>),
    Aborting(Number, Call<Ended>),
    Gone,
}

/// What came of all deals.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) done: Vec<Done>,
    /// What clients were told of outcomes.
    pub(crate) ended: Vec<Ended>,
    pub(crate) refused: Vec<Refusal>,
}

/// How often clients misbehave, in percent of their moves.
#[derive(Clone, Copy)]
pub(crate) struct Moods {
    pub(crate) abort: u64,
    pub(crate) vanish: u64,
}

impl Deal {
    pub(crate) fn new(number: u64, works: Vec<Work>) -> Self {
        let party = works.len();
        let members = works.into_iter().enumerate().map(|(place, work)| Member {
            client: client(&format!("{number}.{place}")),
            party,
            work,
            state: State::Away,
        });
        Self { seed: Seed::new([number as u8; 16]), token: None, members: members.collect() }
    }

    pub(crate) fn over(&self) -> bool {
        let begun = self.token.is_some();
        let gone = |member: &Member| {
            matches!(member.state, State::Gone) || (!begun && matches!(member.state, State::Away))
        };
        matches!(self.members[0].state, State::Gone) && self.members.iter().all(gone)
    }

    /// One member makes a move, if it can.
    pub(crate) fn step<R: Resource>(
        &mut self,
        place: usize,
        world: &mut World<R>,
        moods: Moods,
        report: &mut Report,
    ) {
        let member = &mut self.members[place];
        let me = member.client;
        let state = std::mem::replace(&mut member.state, State::Gone);
        member.state = match (state, self.token) {
            (State::Away, None) if place == 0 => {
                let call = begin(TM, &self.seed, None, None);
                State::Beginning(world.send(me, &call), call)
            }
            (State::Away, Some(token)) => {
                let call = join(me, &token);
                State::Joining(world.send(me, &call), call)
            }
            (State::Beginning(number, call), _) => match world.heard(me, number) {
                None => State::Beginning(number, call),
                Some(reply) => {
                    let begun = call.read(&reply).expect("there is room");
                    self.token = Some(begun.token(self.seed));
                    State::Idle
                }
            },
            (State::Idle, Some(token)) => member.decide(token.tx(), world, moods),
            (waiting, Some(token)) => member.wait(waiting, token.tx(), world, report),
            (state, None) => state,
        };
    }

    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }
}

impl Member {
    fn decide<R: Resource>(&mut self, tx: TxId, world: &mut World<R>, moods: Moods) -> State {
        let me = self.client;
        if world.dice.chance(moods.vanish) {
            return State::Gone;
        }
        if world.dice.chance(moods.abort) {
            let call = crate::client::abort(tx, "changed my mind");
            return State::Aborting(world.send(me, &call), call);
        }
        let Some((group, key, operation)) = self.work.first().cloned() else {
            let call = outcome(tx, false);
            return State::Looking(world.send(me, &call), call);
        };
        let call = operate(group, Some(tx), key, operation);
        State::Operating(world.send(me, &call), call)
    }

    fn wait<R: Resource>(
        &mut self,
        state: State,
        tx: TxId,
        world: &mut World<R>,
        report: &mut Report,
    ) -> State {
        let me = self.client;
        let vote = |view: &View, world: &mut World<R>| {
            let call = commit(view, true);
            State::Voting(world.send(me, &call), call)
        };
        let (State::Joining(number, _)
        | State::Operating(number, _)
        | State::Looking(number, _)
        | State::Voting(number, _)
        | State::Aborting(number, _)) = &state
        else {
            return state;
        };
        let Some(reply) = world.heard(me, *number) else { return state };
        let next = match &state {
            State::Joining(_, call) => call.read(&reply).map(|_| State::Idle),
            State::Operating(_, call) => call.read(&reply).map(|answer| {
                let (group, key, operation) = self.work.remove(0);
                report.done.push(Done { tx, group, key, operation, answer });
                State::Idle
            }),
            State::Looking(_, call) | State::Voting(_, call) => {
                call.read(&reply).map(|progress| match progress {
                    Progress::Waiting(view) | Progress::Stale(view)
                        if view.members.len() < self.party =>
                    {
                        State::Idle
                    }
                    Progress::Waiting(view) | Progress::Stale(view) => vote(&view, world),
                    Progress::Ended(ended) => {
                        report.ended.push(ended);
                        State::Gone
                    }
                })
            }
            State::Aborting(_, call) => call.read(&reply).map(|ended| {
                report.ended.push(ended);
                State::Gone
            }),
            State::Away | State::Idle | State::Beginning(..) | State::Gone => Ok(State::Gone),
        };
        next.unwrap_or_else(|refusal| self.refused(refusal, tx, world, report))
    }

    /// A refused operation ends the work of this client: it aborts if the transaction still stands.
    fn refused<R: Resource>(
        &mut self,
        refusal: Refusal,
        tx: TxId,
        world: &mut World<R>,
        report: &mut Report,
    ) -> State {
        use crate::refusal::Code::{Aborted, AlreadyCommitted};
        let over = matches!(refusal.code, Aborted | AlreadyCommitted);
        report.refused.push(refusal);
        if over {
            return State::Gone;
        }
        let call = crate::client::abort(tx, "refused");
        State::Aborting(world.send(self.client, &call), call)
    }
}

/// Runs all deals to their ends, then lets time run out.
pub(crate) fn run<R: Resource>(world: &mut World<R>, mut deals: Vec<Deal>, moods: Moods) -> Report {
    let mut report = Report::default();
    for turn in 0.. {
        assert!(turn < 200_000, "somebody waits for ever");
        if deals.iter().all(Deal::over) && !world.busy() {
            break;
        }
        match world.dice.below(20) {
            0..=8 => world.deliver(),
            9 if world.dice.chance(30) => world.tick(),
            _ => {
                let place = world.dice.below(deals.len() as u64) as usize;
                let member = world.dice.below(deals[place].size() as u64) as usize;
                deals[place].step(member, world, moods, &mut report);
            }
        }
    }
    world.run_out();
    report
}
