//! Bounds hold, and what is abandoned goes away by itself.

use std::collections::BTreeMap;

use maftia_core::{
    id::ClientId,
    wire::{decode, encode},
};
use serde::{Deserialize, Serialize};

use crate::{
    client::{Progress, abort, begin, commit, operate, outcome},
    limits,
    lock::Mode,
    refusal::{Code, Refusal},
    request::{ResourceReply, ResourceRequest},
    resource::ResourceSpec,
    resources::{Account, Changes, Operation, Resource},
    testing::{
        seeds,
        world::{LEFT, RIGHT, TM, World, client, key},
    },
    token::Seed,
    transaction::{AbortReason, Key, Outcome, TxId},
};

#[test]
fn abandoned_transactions_leave_nothing() {
    let initial = BTreeMap::from([(key("a"), 100)]);
    let mut world = World::new(1, Account::default(), initial);
    let key_of_all = Seed::new([1; 16]);
    let call = begin(TM, &key_of_all, None, None);
    let abandoned = if seeds(0) > 0 { 10_000 } else { 300 };
    let mut refused = 0;
    for number in 0..abandoned {
        let who = client(&format!("{}", number % 100));
        match world.ask(who, call.clone()) {
            Ok(begun) => {
                let operation = operate(LEFT, Some(begun.view.tx), key("a"), Operation::Deposit(1));
                world.send(who, &operation);
            }
            Err(refusal) => {
                assert_eq!(refusal.code, Code::Busy);
                refused += 1;
            }
        }
        if number % 50 == 0 {
            world.tick();
        }
    }
    let status = world.tm.batched.status();
    assert_eq!(status.begun + refused, abandoned);
    assert!(status.open <= limits::OPEN_MAX);
    world.run_out();
    assert_eq!(world.rm(LEFT).committed()[&key("a")], 100);
    let saved = encode(&world.tm.batched).len();
    assert!(saved < 100 * limits::HISTORY_MAX, "{saved} bytes remain");
}

#[test]
fn one_client_cannot_have_too_many() {
    let mut world = World::new(1, Account::default(), BTreeMap::from([(key("a"), 100)]));
    let (greedy, other) = (client("greedy"), client("other"));
    let call = begin(TM, &Seed::new([1; 16]), None, None);
    let mut last = None;
    for _ in 0..limits::OPEN_PER_CLIENT_MAX {
        last = Some(world.ask(greedy, call.clone()).expect("there is room").view.tx);
    }
    assert_eq!(world.ask(greedy, call.clone()).expect_err("no room").code, Code::Busy);
    assert!(world.ask(other, call.clone()).is_ok(), "others do not pay for it");
    world.ask(greedy, abort(last.expect("one"), "")).expect("ending is never refused");
    assert!(world.ask(greedy, call).is_ok());
    world.run_out();
}

#[test]
fn a_stranger_at_a_resource_manager_pays_with_its_own_quota() {
    let mut world = World::new(1, Account::default(), BTreeMap::from([(key("a"), 100)]));
    let eve = client("eve");
    for number in 0..=u64::from(limits::OPEN_PER_CLIENT_MAX) {
        let tx = TxId::new(TM, 1_000 + number);
        world.send(eve, &operate(LEFT, Some(tx), key("a"), Operation::Deposit(1)));
    }
    world.run_out();
    assert!(world.rm(LEFT).is_idle());
    let (you, tx) = begun(&mut world, 2);
    let deposit = operate(LEFT, Some(tx), key("a"), Operation::Deposit(1));
    assert_eq!(world.ask(you, deposit).expect("there is room").value, "101");
}

/// Names of transactions are numbers: a stranger guesses the next one while the manager is away.
#[test]
fn a_stranger_cannot_end_a_transaction_before_it_begins() {
    for early in [false, true] {
        let mut world = World::new(1, Account::default(), BTreeMap::from([(key("a"), 100)]));
        let next = TxId::new(TM, 1);
        world.mute(TM);
        world.send(client("eve"), &operate(LEFT, Some(next), key("a"), Operation::Deposit(1)));
        for _ in 0..100 {
            world.settle();
            world.tick();
        }
        assert!(world.rm(LEFT).is_idle(), "its time was over");
        world.unmute();
        if !early {
            world.settle();
        }
        let (you, tx) = begun(&mut world, 2);
        assert_eq!(tx, next);
        let deposit = operate(LEFT, Some(tx), key("a"), Operation::Deposit(1));
        assert_eq!(world.ask(you, deposit).expect("it is open").value, "101");
    }
}

fn begun<R: Resource>(world: &mut World<R>, seed: u8) -> (ClientId, TxId) {
    let you = client("you");
    let call = begin(TM, &Seed::new([seed; 16]), None, None);
    (you, world.ask(you, call).expect("there is room").view.tx)
}

#[test]
fn a_group_that_does_not_vote_is_not_waited_for_for_ever() {
    let mut world = World::new(1, Account::default(), BTreeMap::from([(key("a"), 100)]));
    let (you, tx) = begun(&mut world, 1);
    for group in [LEFT, RIGHT] {
        world.ask(you, operate(group, Some(tx), key("a"), Operation::Deposit(1))).expect("done");
    }
    world.mute(RIGHT);
    let Ok(Progress::Waiting(view)) = world.ask(you, outcome(tx, false)) else { panic!("open") };
    let vote = world.send(you, &commit(&view, true));
    for _ in 0..20 {
        world.settle();
        world.tick();
    }
    let told = world.heard(you, vote).expect("the manager gave up");
    let Ok(Progress::Ended(ended)) = commit(&view, true).read(&told) else { panic!("ended") };
    assert_eq!(ended.outcome, Outcome::Aborted(AbortReason::Unanswered { group: RIGHT }));
    assert_eq!(world.rm(LEFT).outcome(tx), Some(&ended.outcome));
    world.unmute();
    world.run_out();
    assert_eq!(world.rm(RIGHT).outcome(tx), Some(&ended.outcome));
}

#[test]
fn a_manager_that_is_not_heard_is_asked_and_never_guessed() {
    let mut world = World::new(1, Account::default(), BTreeMap::from([(key("a"), 100)]));
    let (you, tx) = begun(&mut world, 1);
    world.ask(you, operate(LEFT, Some(tx), key("a"), Operation::Deposit(1))).expect("done");
    let Ok(Progress::Waiting(view)) = world.ask(you, outcome(tx, false)) else { panic!("open") };
    world.send(you, &commit(&view, false));
    while world.rm(LEFT).outcome(tx).is_none() && !world.prepared(LEFT) {
        world.deliver();
    }
    world.mute(TM);
    for _ in 0..100 {
        world.settle();
        world.tick();
    }
    assert!(world.prepared(LEFT), "a promise is kept");
    world.unmute();
    world.run_out();
    assert_eq!(world.rm(LEFT).outcome(tx), Some(&Outcome::Committed));
    assert_eq!(world.rm(LEFT).committed()[&key("a")], 101);
}

/// A resource whose code falls over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Brittle;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Blow {
    Soft(i64),
    Hard,
    Refusing,
}

impl Resource for Brittle {
    type Operation = Blow;
    type Answer = i64;
    type Value = i64;

    fn mode(_: &Blow) -> Mode {
        Mode::Exclusive
    }

    fn perform(&self, _: &Key, blow: Blow, value: &mut Option<i64>) -> Result<i64, Refusal> {
        let sum = value.get_or_insert(0);
        match blow {
            Blow::Soft(amount) => *sum += amount,
            Blow::Refusing => *sum = -1,
            Blow::Hard => {
                *sum = 77;
                panic!("a test of what happens when the code of a resource panics")
            }
        }
        Ok(*sum)
    }

    fn prepare(&mut self, _: TxId, changes: &Changes<i64>) -> Result<(), String> {
        let bad = changes.values().any(|value| *value == Some(-1));
        if bad { Err("it must not be negative".to_owned()) } else { Ok(()) }
    }
}

#[test]
fn a_panic_of_a_resource_is_a_refusal_and_its_last_word_counts() {
    let mut world = World::with(1, ResourceSpec::new(TM, Brittle, BTreeMap::new()));
    let (you, tx) = begun(&mut world, 1);
    let blow = |world: &mut World<Brittle>, operation| {
        let request = ResourceRequest::Operate { tx: Some(tx), key: key("a"), operation };
        let number = world.send_raw(you, LEFT, encode(&request));
        world.settle();
        decode::<ResourceReply<i64>>(&world.heard(you, number).expect("an answer"))
    };
    assert_eq!(blow(&mut world, Blow::Soft(5)), Ok(ResourceReply::Done(5)));
    let Ok(ResourceReply::Refused(refusal)) = blow(&mut world, Blow::Hard) else {
        panic!("refused")
    };
    assert_eq!(refusal.code, Code::Panicked);
    assert_eq!(blow(&mut world, Blow::Soft(1)), Ok(ResourceReply::Done(6)), "as if it never was");
    blow(&mut world, Blow::Refusing).expect("done");
    let Ok(Progress::Waiting(view)) = world.ask(you, outcome(tx, false)) else { panic!("open") };
    let Ok(Progress::Ended(ended)) = world.ask(you, commit(&view, true)) else { panic!("ended") };
    let reason = AbortReason::Refused { group: LEFT, text: "it must not be negative".into() };
    assert_eq!(ended.outcome, Outcome::Aborted(reason));
    world.run_out();
    assert_eq!(world.rm(LEFT).committed(), &BTreeMap::new());
}
