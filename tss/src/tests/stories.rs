//! Scripted stories: each shows one rule.

use std::collections::BTreeMap;

use bytes::Bytes;
use maftia_core::{
    id::{ClientId, GroupId},
    replica::service::Service as _,
};

use crate::{
    client::{
        Progress, Session, Transfer, abort, begin, commit, join, list, locks, manager_status,
        operate, outcome, resource_status, show,
    },
    lock::Mode,
    refusal::{Code, Refusal},
    request::{Card, Ended, Standing, View},
    resources::{Account, Answer, Operation},
    testing::world::{LEFT, RIGHT, TM, World, client, key},
    token::{Seed, Token},
    transaction::{AbortReason, Outcome, Phase, TxId},
};

fn bank() -> World<Account> {
    World::new(7, Account::default(), BTreeMap::from([(key("alice"), 100), (key("bob"), 100)]))
}

fn started(world: &mut World<Account>, by: ClientId, seed: u8) -> (TxId, Token) {
    let seed = Seed::new([seed; 16]);
    let begun = world.ask(by, begin(TM, &seed, None, None)).expect("it begins");
    (begun.view.tx, begun.token(seed))
}

fn view(world: &mut World<Account>, by: ClientId, tx: TxId) -> View {
    match world.ask(by, outcome(tx, false)).expect("it is known") {
        Progress::Waiting(view) => view,
        other => panic!("{tx} is over: {other:?}"),
    }
}

fn agree(world: &mut World<Account>, by: ClientId, tx: TxId) -> Result<Progress, Refusal> {
    let view = view(world, by, tx);
    world.ask(by, commit(&view, false))
}

fn withdraw(
    world: &mut World<Account>,
    by: ClientId,
    at: (GroupId, &str),
    tx: TxId,
    amount: i64,
) -> Result<Answer, Refusal> {
    world.ask(by, operate(at.0, Some(tx), key(at.1), Operation::Withdraw(amount)))
}

fn read(world: &mut World<Account>, group: GroupId, name: &str) -> String {
    world
        .ask(client("reader"), operate(group, None, key(name), Operation::Read))
        .expect("a value")
        .value
}

fn transfer(
    world: &mut World<Account>,
    by: ClientId,
    mut transfer: Transfer,
) -> Result<crate::client::Transferred, Refusal> {
    while let Some(call) = transfer.call() {
        let result = world.ask(by, call);
        transfer.heard(result);
    }
    transfer.result().expect("it is over").clone()
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Code {
    result.expect_err("a refusal").code
}

#[test]
fn a_transfer_between_groups_commits_and_is_seen() {
    let (mut world, you) = (bank(), client("you"));
    let (tx, _) = started(&mut world, you, 1);
    let deal = Transfer::new(tx, (LEFT, key("alice")), (RIGHT, key("bob")), 30);
    let done = transfer(&mut world, you, deal).expect("it is done");
    assert_eq!(done.withdrawn, Answer { before: Some("100".into()), value: "70".into() });
    assert_eq!(done.deposited.value, "130");
    assert_eq!(read(&mut world, LEFT, "alice"), "100", "nobody sees what is not committed");
    let ended = Ended { tx, outcome: Outcome::Committed, fresh: true };
    assert_eq!(agree(&mut world, you, tx), Ok(Progress::Ended(ended.clone())));
    assert_eq!(read(&mut world, LEFT, "alice"), "70");
    assert_eq!(read(&mut world, RIGHT, "bob"), "130");
    let again = Ended { fresh: false, ..ended };
    assert_eq!(world.ask(you, outcome(tx, false)), Ok(Progress::Ended(again)));
    assert_eq!(code(world.ask(you, abort(tx, ""))), Code::AlreadyCommitted);
    assert_eq!(code(withdraw(&mut world, you, (LEFT, "alice"), tx, 1)), Code::AlreadyCommitted);
    world.run_out();
}

#[test]
fn a_refused_deposit_gives_back_the_withdrawal() {
    let (mut world, you) = (bank(), client("you"));
    let (tx, _) = started(&mut world, you, 1);
    let deal = Transfer::new(tx, (LEFT, key("alice")), (RIGHT, key("nobody")), 30);
    assert_eq!(code(transfer(&mut world, you, deal)), Code::UnknownAccount);
    let inside = world.ask(you, operate(LEFT, Some(tx), key("alice"), Operation::Read));
    assert_eq!(inside.expect("a value").value, "100");
    let deal = Transfer::new(tx, (LEFT, key("alice")), (RIGHT, key("bob")), 101);
    assert_eq!(code(transfer(&mut world, you, deal)), Code::InsufficientFunds);
    world.ask(you, abort(tx, "enough")).expect("aborted");
    world.run_out();
}

#[test]
fn two_clients_commit_only_when_both_agree() {
    let (mut world, alice, bob) = (bank(), client("alice"), client("bob"));
    let (tx, token) = started(&mut world, alice, 1);
    assert_eq!(code(withdraw(&mut world, bob, (LEFT, "alice"), tx, 1)), Code::NotAMember);
    world.ask(bob, join(bob, &token)).expect("bob joins");
    withdraw(&mut world, bob, (LEFT, "alice"), tx, 30).expect("bob may");
    let Ok(Progress::Waiting(waiting)) = agree(&mut world, alice, tx) else {
        panic!("bob has not agreed")
    };
    assert_eq!((waiting.phase, &waiting.missing), (Phase::Voting, &vec![bob]));
    let parked = world.send(alice, &outcome(tx, true));
    world.settle();
    assert_eq!(world.heard(alice, parked), None, "alice waits for the outcome");
    assert!(matches!(agree(&mut world, bob, tx), Ok(Progress::Ended(_))));
    let told = world.heard(alice, parked).expect("alice hears too");
    let Ok(Progress::Ended(ended)) = outcome(tx, true).read(&told) else { panic!("it ended") };
    assert_eq!(ended.outcome, Outcome::Committed);
    world.run_out();
}

#[test]
fn who_joins_late_makes_votes_void_and_any_member_may_abort() {
    let (mut world, alice, bob) = (bank(), client("alice"), client("bob"));
    let (tx, token) = started(&mut world, alice, 1);
    let old = view(&mut world, alice, tx);
    world.ask(bob, join(bob, &token)).expect("bob joins");
    let Ok(Progress::Stale(new)) = world.ask(alice, commit(&old, false)) else {
        panic!("bob was slipped in")
    };
    assert_eq!(new.members, [alice, bob]);
    let vote = world.send(alice, &commit(&new, true));
    withdraw(&mut world, bob, (RIGHT, "bob"), tx, 1).expect("bob may");
    let told = world.heard(alice, vote).expect("a group joined");
    let Ok(Progress::Stale(newer)) = commit(&new, true).read(&told) else { panic!("stale") };
    assert_eq!((newer.groups, newer.missing), (vec![RIGHT], vec![alice, bob]));
    let reason = AbortReason::Client { client: bob, text: "no".into() };
    let ended = world.ask(bob, abort(tx, "no")).expect("bob may");
    assert_eq!(ended.outcome, Outcome::Aborted(reason.clone()));
    let again = world.ask(alice, abort(tx, "me too")).expect("it is over");
    assert_eq!((again.outcome, again.fresh), (Outcome::Aborted(reason), false));
    assert_eq!(code(withdraw(&mut world, bob, (RIGHT, "bob"), tx, 1)), Code::Aborted);
    assert_eq!(code(world.ask(client("eve"), join(client("eve"), &token))), Code::Aborted);
    world.run_out();
}

#[test]
fn strangers_get_nowhere() {
    let (mut world, you, eve) = (bank(), client("you"), client("eve"));
    let (tx, token) = started(&mut world, you, 1);
    assert_eq!(code(world.ask(eve, abort(tx, "ha"))), Code::NotAMember);
    let seen = view(&mut world, eve, tx);
    assert_eq!(code(world.ask(eve, commit(&seen, true))), Code::NotAMember);
    assert_eq!(code(withdraw(&mut world, eve, (LEFT, "alice"), tx, 1)), Code::NotAMember);
    assert_eq!(view(&mut world, you, tx).groups, [], "no stranger brings a group in");
    assert_eq!(code(world.ask(eve, join(you, &token))), Code::UnknownToken, "not its signature");
    let forged = Token::new(tx, Seed::new([9; 16]));
    assert_eq!(code(world.ask(eve, join(eve, &forged))), Code::UnknownToken);
    let nowhere = TxId::new(TM, 99);
    let token = Token::new(nowhere, Seed::new([9; 16]));
    assert_eq!(code(world.ask(eve, join(eve, &token))), Code::UnknownToken);
    assert_eq!(code(world.ask(eve, abort(nowhere, ""))), Code::UnknownTransaction);
    let elsewhere = TxId::new(LEFT, 1);
    assert_eq!(
        code(withdraw(&mut world, eve, (RIGHT, "bob"), elsewhere, 1)),
        Code::UnknownTransaction
    );
    let write = operate(LEFT, None, key("alice"), Operation::Withdraw(1));
    assert_eq!(code(world.ask(eve, write)), Code::NeedsTransaction);
    world.ask(you, abort(tx, "")).expect("aborted");
    world.run_out();
}

#[test]
fn an_older_transaction_wounds_a_younger_one_and_says_so() {
    let (mut world, old, young) = (bank(), client("old"), client("young"));
    let (first, _) = started(&mut world, old, 1);
    let (second, _) = started(&mut world, young, 2);
    withdraw(&mut world, young, (LEFT, "alice"), second, 1).expect("free");
    withdraw(&mut world, old, (LEFT, "alice"), first, 1).expect("it takes the lock");
    let Ok(Progress::Ended(ended)) = world.ask(young, outcome(second, false)) else {
        panic!("wounded")
    };
    let Outcome::Aborted(AbortReason::Wounded { group, wound }) = &ended.outcome else {
        panic!("wounded: {ended:?}")
    };
    assert_eq!((*group, wound.by, &wound.key), (LEFT, first, &key("alice")));
    assert_eq!((wound.edges[0].waiter, wound.edges[0].holder), (first, second));
    assert_eq!(code(withdraw(&mut world, young, (LEFT, "bob"), second, 1)), Code::Aborted);
    let retry = begin(TM, &Seed::new([3; 16]), None, Some(second));
    let third = world.ask(young, retry).expect("it begins").view.tx;
    let (fourth, _) = started(&mut world, old, 4);
    withdraw(&mut world, old, (RIGHT, "bob"), fourth, 1).expect("free");
    withdraw(&mut world, young, (RIGHT, "bob"), third, 1).expect("it kept its age");
    let retry = begin(TM, &Seed::new([5; 16]), None, Some(second));
    let fifth = world.ask(young, retry).expect("it begins").view.tx;
    let call = operate(RIGHT, Some(fifth), key("bob"), Operation::Withdraw(1));
    let waiting = world.send(young, &call);
    world.settle();
    assert_eq!(world.heard(young, waiting), None, "an age is taken up once");
    for tx in [first, fourth] {
        world.ask(old, abort(tx, "")).expect("it is over");
    }
    for tx in [third, fifth] {
        world.ask(young, abort(tx, "")).expect("it is over");
    }
    world.run_out();
}

#[test]
fn a_younger_one_waits_and_the_tables_show_it() {
    let (mut world, old, young) = (bank(), client("old"), client("young"));
    let (first, _) = started(&mut world, old, 1);
    let (second, _) = started(&mut world, young, 2);
    withdraw(&mut world, old, (LEFT, "alice"), first, 10).expect("free");
    let call = operate(LEFT, Some(second), key("alice"), Operation::Withdraw(10));
    let waiting = world.send(young, &call);
    world.settle();
    assert_eq!(world.heard(young, waiting), None);
    let survey = world.ask(old, locks(LEFT)).expect("a listing");
    assert_eq!((survey.held, survey.waiting, survey.rows.len()), (1, 1, 1));
    assert_eq!(survey.rows[0].holders, [(first, Mode::Exclusive, false)]);
    assert_eq!(survey.rows[0].waiters, [(second, Mode::Exclusive)]);
    let status = world.ask(old, resource_status(LEFT)).expect("counters");
    assert_eq!((status.open, status.prepared, status.locks, status.waiting), (2, 0, 1, 1));
    let summaries = world.ask(old, list(TM)).expect("a listing");
    assert_eq!(summaries.iter().map(|row| row.tx).collect::<Vec<_>>(), [first, second]);
    let Ok(Card::Open { groups, .. }) = world.ask(old, show(first)) else { panic!("open") };
    assert_eq!(groups, [(LEFT, Standing::Registered)]);
    assert!(matches!(agree(&mut world, young, second), Ok(Progress::Ended(ended))
        if matches!(&ended.outcome, Outcome::Aborted(AbortReason::Refused { .. }))));
    let told = world.heard(young, waiting).expect("its operation ended with it");
    assert_eq!(code(call.read(&told)), Code::Aborted);
    assert!(matches!(agree(&mut world, old, first), Ok(Progress::Ended(_))));
    let status = world.ask(old, manager_status(TM)).expect("counters");
    assert_eq!((status.begun, status.committed, status.aborted, status.open), (2, 1, 1, 0));
    assert_eq!(read(&mut world, LEFT, "alice"), "90");
    world.run_out();
}

/// The answer to a commit and the news of it at the groups travel apart.
#[test]
fn who_heard_of_a_commit_also_sees_it() {
    let mut waited = 0;
    for seed in 0..50 {
        let initial = BTreeMap::from([(key("alice"), 100)]);
        let (mut world, you) = (World::new(seed, Account::default(), initial), client("you"));
        let (tx, _) = started(&mut world, you, 1);
        withdraw(&mut world, you, (LEFT, "alice"), tx, 30).expect("free");
        let seen = view(&mut world, you, tx);
        let vote = world.send(you, &commit(&seen, true));
        while world.heard(you, vote).is_none() {
            world.deliver();
        }
        waited += usize::from(world.rm(LEFT).outcome(tx).is_none());
        assert_eq!(read(&mut world, LEFT, "alice"), "70", "seed {seed}");
    }
    assert!(waited > 0, "the test must see a reader that waits");
}

#[test]
fn a_session_remembers_its_transaction() {
    let (mut world, you) = (bank(), client("you"));
    let mut session = Session::new(you, TM);
    assert_eq!(code(session.commit(true)), Code::NeedsTransaction);
    let read = session.operate(LEFT, key("alice"), Operation::Read);
    assert_eq!(world.ask(you, read).expect("committed").value, "100");
    let seed = Seed::new([1; 16]);
    let begun = world.ask(you, session.begin(&seed, Some(5_000))).expect("it begins");
    assert_eq!(begun.lease_millis, 5_000);
    let token = session.began(seed, begun);
    assert_eq!((session.tx(), session.token()), (Some(token.tx()), Some(token)));
    let deal = session.transfer((LEFT, key("alice")), (RIGHT, key("bob")), 30).expect("inside");
    transfer(&mut world, you, deal).expect("done");
    let stale = world.ask(you, session.commit(true).expect("inside")).expect("an answer");
    assert!(matches!(stale, Progress::Stale(_)), "two groups joined since it looked");
    session.progressed(&stale);
    assert_eq!(session.view().expect("inside").groups, [LEFT, RIGHT]);
    let ended = world.ask(you, session.commit(true).expect("inside")).expect("an answer");
    session.progressed(&ended);
    assert_eq!(session.tx(), None);
    world.run_out();
}

#[test]
fn what_frees_others_is_urgent() {
    let (mut world, you) = (bank(), client("you"));
    let (tx, _) = started(&mut world, you, 1);
    let seen = view(&mut world, you, tx);
    let read = operate(LEFT, Some(tx), key("alice"), Operation::Read);
    assert!(!world.rm(LEFT).is_urgent(&read.body()), "a first operation can wait");
    world.ask(you, read.clone()).expect("done");
    assert!(world.rm(LEFT).is_urgent(&read.body()));
    let tm = &world.tm.batched;
    assert!(tm.is_urgent(&commit(&seen, true).body()));
    assert!(tm.is_urgent(&abort(tx, "").body()));
    assert!(!tm.is_urgent(&list(TM).body()) && !tm.is_urgent(b"rubbish"));
}

#[test]
fn nonsense_is_refused_with_a_code() {
    let (mut world, you) = (bank(), client("you"));
    for (group, read) in [(TM, true), (LEFT, false)] {
        for body in [Bytes::new(), Bytes::from_static(&[0xdd; 9]), Bytes::from(vec![0; 9_000])] {
            let number = world.send_raw(you, group, body);
            world.settle();
            let reply = world.heard(you, number).expect("an answer");
            let refused =
                if read { code(list(TM).read(&reply)) } else { code(locks(LEFT).read(&reply)) };
            assert!(matches!(refused, Code::Malformed | Code::TooLong), "{refused}");
        }
    }
    let long = abort(TxId::new(TM, 1), &"x".repeat(300));
    let (tx, _) = started(&mut world, you, 1);
    assert_eq!(code(world.ask(you, long)), Code::TooLong);
    assert_eq!(code(withdraw(&mut world, you, (LEFT, "alice"), tx, -1)), Code::BadAmount);
    assert_eq!(code(crate::client::amount("-1")), Code::BadAmount);
    assert_eq!(code(crate::client::amount("1e3")), Code::BadAmount);
    assert_eq!(crate::client::amount(" 30 "), Ok(30));
    assert_eq!(code(list(TM).read(b"rubbish")), Code::Malformed);
    world.ask(you, abort(tx, "")).expect("aborted");
    world.run_out();
}
