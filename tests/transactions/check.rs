//! What must hold when a scene is over.

use std::collections::{BTreeMap, BTreeSet};

use maftia_core::{
    fault::Fault,
    id::GroupId,
    replica::{Replica, service::Service},
    sim::{World, oracle},
};
use maftia_tss::{
    client::{locks, manager_status, operate, resource_status},
    resources::Operation,
    transaction::{Outcome, TxId},
};

use crate::rogue::Rogue;
use crate::scene::{
    ACCOUNTS, ALL, Bank, Done, Ending, INITIAL, LEFT, Manager, NAMES, Place, Plan, RIGHT, Scene,
    TM, key,
};

/// What was found instead of what was promised.
pub(crate) type Broken = String;

fn hold(promise: bool, broken: impl FnOnce() -> Broken) -> Result<(), Broken> {
    if promise { Ok(()) } else { Err(broken()) }
}

/// What a replica or session may hold when all is over: the trees of a group of seven, whose stream
/// keeps 64 rounds.
const BOUNDS: oracle::Bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 2 << 20 };

/// All promises that the replicas can be asked for. The world is quiet.
pub(crate) fn replicas(scene: &Scene) -> Result<(), Broken> {
    oracle::bounded(&scene.world, BOUNDS).map_err(|broken| broken.to_string())?;
    once(scene)?;
    outcomes(scene)?;
    money(scene)?;
    explained(scene)?;
    let open = agreed::<Manager>(&scene.world, TM)?.status().open;
    hold(open == 0, || format!("an orphan: {open} are open"))?;
    for (group, bank) in banks(&scene.world)? {
        hold(bank.is_idle(), || format!("an orphan at {group}: {bank:?}"))?;
    }
    slander(&scene.world)
}

/// The client that lies got nothing to which it had no right, and no number of a request took effect
/// twice.
fn once(scene: &Scene) -> Result<(), Broken> {
    let rogue = scene.rogue.as_ref();
    let granted = rogue.and_then(|rogue| rogue.granted(&scene.world));
    hold(granted.is_none(), || format!("the rogue is granted {granted:?}"))?;
    let begun = agreed::<Manager>(&scene.world, TM)?.status().begun;
    let own = rogue.map_or(0, Rogue::asked_managers);
    let known = scene.begun.len() as u64;
    hold((known..=known + own).contains(&begun), || {
        format!("{begun} were begun, {known} by clients, {own} at most by the rogue")
    })
}

/// Every transaction ended, alike everywhere, and its clients heard the truth.
pub(crate) fn outcomes(scene: &Scene) -> Result<(), Broken> {
    let manager = agreed::<Manager>(&scene.world, TM)?;
    let banks = banks(&scene.world)?;
    for tx in &scene.begun {
        for (group, bank) in banks {
            same(scene, *tx, manager, group, bank)?;
        }
    }
    for ended in &scene.ended {
        let known = manager.outcome(ended.tx);
        hold(known.as_ref() == Some(&ended.outcome), || {
            format!("a client heard {ended:?}, the truth is {known:?}")
        })?;
    }
    Ok(())
}

/// A transaction ended at a bank as its manager says.
pub(crate) fn same(
    scene: &Scene,
    tx: TxId,
    manager: &Manager,
    group: GroupId,
    bank: &Bank,
) -> Result<(), Broken> {
    let outcome = manager.outcome(tx).ok_or_else(|| format!("{tx} has no outcome"))?;
    let worked = |done: &Done| done.tx == tx && done.place.0 == group;
    let here = bank.outcome(tx);
    let same = match here {
        Some(here) => here.word() == outcome.word(),
        None => !scene.done.iter().any(worked),
    };
    hold(same, || format!("{tx} is {outcome:?}, at {group} {here:?}"))
}

/// The sum of all balances is what it was.
pub(crate) fn money(scene: &Scene) -> Result<(), Broken> {
    let sum: i64 = balances(&scene.world)?.values().sum();
    hold(sum == ALL, || format!("money: {sum} of {ALL}"))
}

fn banks(world: &World) -> Result<[(GroupId, &Bank); 2], Broken> {
    Ok([(LEFT, agreed::<Bank>(world, LEFT)?), (RIGHT, agreed::<Bank>(world, RIGHT)?)])
}

/// The balances at the replicas.
fn balances(world: &World) -> Result<BTreeMap<Place, i64>, Broken> {
    let places = banks(world)?.into_iter().flat_map(|(group, bank)| {
        ACCOUNTS.map(|name| ((group, name), bank.committed()[&key(name)]))
    });
    Ok(places.collect())
}

/// The service of a group, which is the same at all correct replicas.
pub(crate) fn agreed<S: Service>(world: &World, group: GroupId) -> Result<&S, Broken> {
    let members = world.members(NAMES[group.index()]).into_iter();
    let mut correct = members.filter(|owner| !world.is_corrupted(*owner));
    let first = correct.next().ok_or("nobody is correct")?;
    let replica = world.root::<Replica<S>>(first);
    for owner in correct {
        let other = world.root::<Replica<S>>(owner);
        hold(other.slot() == replica.slot() && other.digest() == replica.digest(), || {
            let (here, there) = (world.name(first), world.name(owner));
            format!("{here} is at {}, {there} at {}: they differ", replica.slot(), other.slot())
        })?;
    }
    Ok(replica.service())
}

/// Some order of the committed transactions explains every answer and the final balances.
fn explained(scene: &Scene) -> Result<(), Broken> {
    let (manager, balances) = (agreed::<Manager>(&scene.world, TM)?, balances(&scene.world)?);
    let committed = |tx: &TxId| manager.outcome(*tx) == Some(Outcome::Committed);
    let committed: Vec<TxId> = scene.begun.iter().copied().filter(committed).collect();
    let initial = balances.keys().map(|place| (*place, INITIAL)).collect();
    let explains = some_order(&scene.done, &committed, &initial, &balances);
    hold(explains, || {
        format!("no order of {committed:?} explains {balances:?} and {:#?}", scene.done)
    })
}

fn some_order(
    done: &[Done],
    left: &[TxId],
    now: &BTreeMap<Place, i64>,
    last: &BTreeMap<Place, i64>,
) -> bool {
    if left.is_empty() {
        return now == last;
    }
    left.iter().any(|tx| {
        let others: Vec<TxId> = left.iter().copied().filter(|other| other != tx).collect();
        let after = after(done, *tx, now.clone());
        after.is_some_and(|after| some_order(done, &others, &after, last))
    })
}

/// The balances after a transaction, if its answers fit those before it. Its clients work at the
/// same time, so the order of their operations on one account follows from the answers alone.
fn after(done: &[Done], tx: TxId, mut now: BTreeMap<Place, i64>) -> Option<BTreeMap<Place, i64>> {
    let mut left: Vec<&Done> = done.iter().filter(|done| done.tx == tx).collect();
    while !left.is_empty() {
        let fits = |done: &&Done| {
            done.answer.before.as_deref() == Some(now[&done.place].to_string().as_str())
        };
        let next = left.remove(left.iter().position(fits)?);
        now.insert(next.place, next.answer.value.parse().ok()?);
    }
    Some(now)
}

/// No correct party accuses a correct one of more than silence, which is a hint.
fn slander(world: &World) -> Result<(), Broken> {
    let slander = world.accusations().iter().find(|(accuser, accusation)| {
        let accused = world.meant(*accuser, accusation.peer, accusation.group);
        !world.is_corrupted(*accuser)
            && !world.is_corrupted(accused)
            && accusation.fault != Fault::Silent
    });
    hold(slander.is_none(), || format!("slander: {slander:?}"))
}

/// What a client is told of the balances.
pub(crate) type Told = BTreeMap<Place, String>;

/// What a client that comes afterwards is told: all locks are free, nothing is open, and these are the
/// balances.
pub(crate) fn audit(scene: &mut Scene) -> Result<Told, Broken> {
    let plan = Plan { deal: 0, party: 1, moves: Vec::new(), ending: Ending::Vanishes };
    let auditor = scene.enter(plan);
    // What the rogue said last may still begin something.
    let strict = scene.rogue.is_none();
    let refused = |refusal| format!("the auditor is refused: {refusal:?}");
    let manager = scene.ask(auditor, &manager_status(TM)).map_err(refused)?;
    hold(manager.open == 0 || !strict, || format!("open: {manager:?}"))?;
    let mut told = Told::new();
    for group in [LEFT, RIGHT] {
        let survey = scene.ask(auditor, &locks(group)).map_err(refused)?;
        hold(survey.held + survey.waiting == 0 || !strict, || format!("locks: {survey:?}"))?;
        let status = scene.ask(auditor, &resource_status(group)).map_err(refused)?;
        let left = status.open + status.locks + status.waiting;
        hold(left == 0 || !strict, || format!("left: {status:?}"))?;
        for name in ACCOUNTS {
            let call = operate(group, None, key(name), Operation::Read);
            let answer = scene.ask(auditor, &call).map_err(refused)?;
            told.insert((group, name), answer.value);
        }
    }
    Ok(told)
}

/// What the auditor was told is what the correct replicas hold. The world is quiet.
pub(crate) fn truth(scene: &Scene, told: &Told) -> Result<(), Broken> {
    let balances = balances(&scene.world)?.into_iter();
    let truth = balances.map(|(place, balance)| (place, balance.to_string())).collect();
    hold(*told == truth, || format!("the auditor believes {told:?}, the truth is {truth:?}"))
}

/// The words of all outcomes, for tests that must see some.
pub(crate) fn words(scene: &Scene) -> BTreeSet<&'static str> {
    let word = |outcome: &Outcome| outcome.reason().map_or(outcome.word(), |reason| reason.word());
    let ended = scene.ended.iter().map(|ended| word(&ended.outcome));
    let manager = agreed::<Manager>(&scene.world, TM).unwrap();
    let known = scene.begun.iter().filter_map(|tx| manager.outcome(*tx));
    ended.chain(known.map(|outcome| word(&outcome))).collect()
}
