//! A client of all groups: one session a group, answers that `f + 1` replicas gave.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use maftia_actors::{
    node::{Node, NodeError},
    party::State,
};
use maftia_core::{
    crypto::deal::Keyring,
    id::{ClientId, GroupId, PartyId},
    replica::{
        Session,
        session::{Input, Output, Spec, Why},
    },
    seat::Owner,
    time::Span,
    wire,
};
use maftia_tss::{client::Call, refusal::Refusal};
use tokio::sync::oneshot;

use crate::{
    assembly::Assembly,
    control::{Answer, Ask, Reply, question},
};

/// How long a node has to answer for itself. It does so without asking anybody.
const CONTROL_PATIENCE: Duration = Duration::from_secs(1);

/// How the replicas of one group answered one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Votes {
    /// The group.
    pub group: GroupId,
    /// How many replicas it has.
    pub of: usize,
    /// Who gave the answer that counts.
    pub agree: Vec<PartyId>,
    /// Who gave another one, and which.
    pub outvoted: Vec<(PartyId, Bytes)>,
    /// Who had given none when the answer was taken.
    pub silent: Vec<PartyId>,
}

/// An answer, and the votes that made it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voted<T> {
    /// The answer.
    pub value: T,
    /// The votes.
    pub votes: Votes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too few replicas gave equal answers. The request may still take effect.
    #[error("{equal} equal answers of {of} replicas, {needed} are needed; {heard} answered")]
    NoQuorum {
        /// The group.
        group: GroupId,
        /// The most equal answers.
        equal: usize,
        /// How many are needed.
        needed: usize,
        /// How many replicas answered at all.
        heard: usize,
        /// How many there are.
        of: usize,
    },
    /// Enough replicas say that they have no room now.
    #[error("the group is busy")]
    Busy(GroupId),
    /// The session is over, or has too much to do.
    #[error("the request was not taken: {0:?}")]
    Refused(GroupId, Why),
    /// The group let the session go, to which nothing was said while many others came. The request may
    /// have taken effect, or not; what is asked from now on is asked in a new session.
    #[error("the group let this idle session go: the request may have taken effect, or not")]
    Forgotten(GroupId),
    /// The service says no.
    #[error("{0}")]
    Service(Refusal),
    /// There is no such group.
    #[error("there is no such group")]
    NoGroup,
    /// This client was stopped, and why.
    #[error("this client was stopped: {0}")]
    Stopped(Arc<str>),
}

/// When an answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// As soon as `f + 1` replicas gave it.
    Answer,
    /// When the slower replicas had a moment to give theirs too, so that liars and sleepers show.
    Tally,
}

/// What a client saw of a replica, beside what replicas say of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often its answer was outvoted.
    pub outvoted: u64,
    /// How often in a row it gave no answer.
    pub silent: u64,
}

/// Who waits for an answer.
struct Waiting {
    tell: oneshot::Sender<Result<Voted<Bytes>, AskError>>,
    /// Whether it goes on waiting while an answer may still come.
    patient: bool,
}

/// What the callbacks of one session and those who wait share.
#[derive(Default)]
struct Shared {
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    answers: Mutex<BTreeMap<u64, Bytes>>,
    /// The questions to nodes: who was asked, and who waits for the answer.
    asked: Mutex<BTreeMap<u64, (Owner, oneshot::Sender<Answer>)>>,
    seen: Mutex<BTreeMap<PartyId, Seen>>,
}

struct Desk {
    node: Node<Session>,
    shared: Arc<Shared>,
    /// Requests are counted in the order in which the session takes them.
    count: tokio::sync::Mutex<u64>,
    questions: AtomicU64,
}

impl Desk {
    /// Returns when its session has ended, and says why.
    async fn ended(&self) -> Arc<str> {
        let mut states = self.node.states();
        match states.wait_for(|state| matches!(state, State::Stopped(_))).await.as_deref() {
            Ok(State::Stopped(why)) => Arc::clone(why),
            _ => "its thread ended".into(),
        }
    }
}

/// A client of all groups of a configuration. Its requests may be asked from several tasks.
pub struct Client {
    id: ClientId,
    desks: BTreeMap<GroupId, Desk>,
}

impl Client {
    /// Opens sessions with all groups. `session` must be higher than that of every earlier session
    /// of this client: the seconds since 1970 will do.
    pub async fn open(
        assembly: &Assembly,
        ring: &Keyring,
        session: u32,
        haste: Haste,
    ) -> Result<Self, NodeError> {
        let Owner::Client(id) = ring.owner() else { return Err(NodeError::Thread) };
        let spec = Spec { settle: Span::millis(400), ..Spec::new(session) };
        let mut desks = BTreeMap::new();
        for group in assembly.config().groups() {
            let shared = Arc::new(Shared::default());
            let (told, asked) = (Arc::clone(&shared), Arc::clone(&shared));
            let group_id = group.id;
            let outputs = Box::new(move |output| told.on_output(group_id, haste, output));
            let control = Box::new(
                move |_: &maftia_actors::party::Started<Session>, from: Owner, body: Bytes| {
                    asked.on_control(from, &body);
                },
            );
            let node = assembly.session(ring, group.id, spec, outputs, control).await?;
            let (count, questions) = (tokio::sync::Mutex::new(0), AtomicU64::new(0));
            desks.insert(group.id, Desk { node, shared, count, questions });
        }
        Ok(Self { id, desks })
    }

    /// Who this is.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Asks a group of the transactional service. Waits as long as the group works on it.
    pub async fn call<T>(&self, call: &Call<T>) -> Result<Voted<T>, AskError> {
        let Voted { value, votes } = self.ask(call.to(), call.body()).await?;
        let value = call.read(&value).map_err(AskError::Service)?;
        Ok(Voted { value, votes })
    }

    /// Asks a group something. Fails when there is no answer within the session's patience.
    pub async fn ask(&self, group: GroupId, body: Bytes) -> Result<Voted<Bytes>, AskError> {
        self.request(group, body, false).await
    }

    /// The same without an end to the patience, for what waits for people or locks: fails only if no
    /// answer can come, or if the group is busy.
    pub async fn ask_patiently(
        &self,
        group: GroupId,
        body: Bytes,
    ) -> Result<Voted<Bytes>, AskError> {
        self.request(group, body, true).await
    }

    async fn request(
        &self,
        group: GroupId,
        body: Bytes,
        patient: bool,
    ) -> Result<Voted<Bytes>, AskError> {
        let desk = self.desks.get(&group).ok_or(AskError::NoGroup)?;
        let (tell, told) = oneshot::channel();
        {
            let mut count = desk.count.lock().await;
            *count += 1;
            lock(&desk.shared.waiting).insert(*count, Waiting { tell, patient });
            if desk.node.ask(Input::request(body)).await.is_err() {
                return Err(AskError::Stopped(desk.ended().await));
            }
        }
        tokio::select! {
            told = told => match told {
                Ok(told) => told,
                Err(_) => Err(AskError::Stopped(desk.ended().await)),
            },
            why = desk.ended() => Err(AskError::Stopped(why)),
        }
    }

    /// Why it was stopped, if it was: another process took its place, for one.
    pub fn stopped(&self) -> Option<Arc<str>> {
        self.desks.values().find_map(|desk| match desk.node.state() {
            State::Stopped(why) => Some(why),
            State::Replaying | State::Live => None,
        })
    }

    /// Asks a node about itself. `None` when it does not answer in time.
    pub async fn ask_node(&self, group: GroupId, party: PartyId, ask: Ask) -> Option<Answer> {
        let desk = self.desks.get(&group)?;
        let number = desk.questions.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        let (to, body) = (Owner::Party(group, party), question(number, ask));
        lock(&desk.shared.asked).insert(number, (to, tell));
        desk.node.with_party(move |started| started.party.tell(to, group, body)).await.ok()?;
        let answer = tokio::time::timeout(CONTROL_PATIENCE, told).await;
        lock(&desk.shared.asked).remove(&number);
        answer.ok()?.ok()
    }

    /// What this client saw of the replicas of a group.
    pub fn seen(&self, group: GroupId) -> BTreeMap<PartyId, Seen> {
        self.desks.get(&group).map(|desk| lock(&desk.shared.seen).clone()).unwrap_or_default()
    }

    /// Ends all sessions.
    pub async fn close(self) {
        for desk in self.desks.into_values() {
            desk.node.leave(Duration::from_millis(100)).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn on_output(&self, group: GroupId, haste: Haste, output: Output) {
        match output {
            Output::Answered { number, body, agree, of, outvoted } => match haste {
                Haste::Answer => {
                    let liars = outvoted.iter().map(|(party, _)| *party);
                    let silent = others(of, agree.iter().copied().chain(liars));
                    let votes = Votes { group, of, agree, outvoted, silent };
                    self.finish(number, Ok(Voted { value: body, votes }));
                }
                Haste::Tally => drop(lock(&self.answers).insert(number, body)),
            },
            Output::Tallied { number, agree, outvoted, silent } => {
                self.note(&agree, &outvoted, &silent);
                if let Some(value) = lock(&self.answers).remove(&number) {
                    let of = agree.len() + outvoted.len() + silent.len();
                    let votes = Votes { group, of, agree, outvoted, silent };
                    self.finish(number, Ok(Voted { value, votes }));
                }
            }
            Output::NoQuorum { number, equal, needed, heard, busy, of } => {
                let hopeful = heard.len() < of && busy.len() < needed;
                if hopeful && lock(&self.waiting).get(&number).is_some_and(|it| it.patient) {
                    return;
                }
                let error = if busy.len() >= needed {
                    AskError::Busy(group)
                } else {
                    AskError::NoQuorum { group, equal, needed, heard: heard.len(), of }
                };
                self.finish(number, Err(error));
            }
            Output::Refused { number, why: Why::Forgotten } => {
                self.finish(number, Err(AskError::Forgotten(group)));
            }
            Output::Refused { number, why } => {
                self.finish(number, Err(AskError::Refused(group, why)));
            }
        }
    }

    fn note(&self, agree: &[PartyId], outvoted: &[(PartyId, Bytes)], silent: &[PartyId]) {
        let mut seen = lock(&self.seen);
        for party in agree {
            seen.entry(*party).or_default().silent = 0;
        }
        for (party, _) in outvoted {
            let seen = seen.entry(*party).or_default();
            (seen.silent, seen.outvoted) = (0, seen.outvoted + 1);
        }
        for party in silent {
            seen.entry(*party).or_default().silent += 1;
        }
    }

    fn finish(&self, number: u64, result: Result<Voted<Bytes>, AskError>) {
        if let Some(waiting) = lock(&self.waiting).remove(&number) {
            // Whoever asked may have given up.
            let _ = waiting.tell.send(result);
        }
    }

    /// A node answers. Numbers of questions can be guessed, so only who was asked is heard.
    fn on_control(&self, from: Owner, body: &[u8]) {
        let Ok(Reply { number, answer }) = wire::decode(body) else { return };
        let mut asked = lock(&self.asked);
        if asked.get(&number).is_some_and(|(whom, _)| *whom == from)
            && let Some((_, tell)) = asked.remove(&number)
        {
            // Whoever asked may have given up.
            let _ = tell.send(answer);
        }
    }
}

/// The parties of `of` that are not among these.
fn others(of: usize, known: impl Iterator<Item = PartyId>) -> Vec<PartyId> {
    let known: BTreeSet<PartyId> = known.collect();
    let all = PartyId::all(u16::try_from(of).expect("a group is numbered in 16 bits"));
    all.filter(|party| !known.contains(party)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers_for_another() {
        let shared = Shared::default();
        let member = |party| Owner::Party(GroupId::new(0), PartyId::new(party));
        let (tell, mut told) = oneshot::channel();
        lock(&shared.asked).insert(7, (member(1), tell));
        let says = |answer| wire::encode(&Reply { number: 7, answer });
        shared.on_control(member(2), &says(Answer::Evidence(Vec::new())));
        assert!(told.try_recv().is_err(), "it was not asked");
        shared.on_control(member(1), &says(Answer::NoLab));
        assert_eq!(told.try_recv(), Ok(Answer::NoLab));
    }
}
