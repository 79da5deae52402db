use std::collections::{BTreeMap, BTreeSet};

use maftia_core::{
    crypto::Digest,
    id::{ClientId, GroupId},
};

use super::*;
use crate::{testing::Dice, transaction::Age};

fn tx(number: u64) -> TxId {
    TxId::new(GroupId::new(0), number)
}

fn key(name: &str) -> Key {
    Key::new(name).expect("a key")
}

fn client(number: u64) -> ClientId {
    ClientId::of_key(&Digest::of("test", &number.to_le_bytes()))
}

fn request(number: u64, name: &str, mode: Mode, ticket: Ticket) -> Request {
    let age = Age { begun: number, tx: tx(number) };
    Request { age, client: client(number), key: key(name), mode, ticket }
}

fn table() -> LockTable {
    LockTable::new(Quotas::default())
}

use Mode::{Exclusive, Shared};

#[test]
fn readers_share_and_a_younger_writer_waits_for_them() {
    let mut table = table();
    assert_eq!(table.acquire(request(1, "a", Shared, 1)).verdict, Verdict::Granted);
    assert_eq!(table.acquire(request(2, "a", Shared, 2)).verdict, Verdict::Granted);
    let writer = table.acquire(request(3, "a", Exclusive, 3));
    assert_eq!(writer.verdict, Verdict::Queued(vec![tx(1), tx(2)]));
    assert_eq!(table.release(tx(1)).granted, []);
    assert_eq!(table.release(tx(2)).granted, [3]);
    assert_eq!(table.acquire(request(3, "a", Shared, 4)).verdict, Verdict::Granted);
    table.release(tx(3));
    assert!(table.is_idle());
}

#[test]
fn an_older_writer_wounds_and_names_the_conflict() {
    let mut table = table();
    table.acquire(request(1, "b", Exclusive, 1));
    table.acquire(request(2, "a", Exclusive, 2));
    table.acquire(request(2, "b", Exclusive, 3));
    let effect = table.acquire(request(1, "a", Exclusive, 4));
    assert_eq!(effect.verdict, Verdict::Granted);
    let edges = vec![
        crate::transaction::Edge { waiter: tx(1), holder: tx(2), key: key("a") },
        crate::transaction::Edge { waiter: tx(2), holder: tx(1), key: key("b") },
    ];
    let wound = crate::transaction::Wound { by: tx(1), key: key("a"), edges };
    assert_eq!(effect.wounded, [(tx(2), wound)]);
    assert_eq!(table.acquire(request(2, "c", Shared, 5)).verdict, Verdict::Doomed);
    assert_eq!(table.seal(tx(2)).verdict, Verdict::Doomed);
    table.release(tx(2));
    table.release(tx(1));
    assert!(table.is_idle());
}

#[test]
fn a_sealed_transaction_is_waited_for_by_the_oldest_and_by_readers_outside() {
    let mut table = table();
    table.acquire(request(5, "a", Exclusive, 1));
    assert_eq!(table.peek(client(9), key("a"), 2).verdict, Verdict::Granted);
    assert_eq!(table.seal(tx(5)).verdict, Verdict::Granted);
    assert_eq!(table.acquire(request(1, "a", Shared, 3)).verdict, Verdict::Queued(vec![tx(5)]));
    assert_eq!(table.peek(client(9), key("a"), 4).verdict, Verdict::Queued(vec![tx(5)]));
    assert_eq!(table.seal(tx(1)).verdict, Verdict::Waiting(1));
    assert_eq!(table.release(tx(5)).granted, [3, 4]);
    table.release(tx(1));
    assert!(table.is_idle());
}

#[test]
fn of_two_that_upgrade_the_older_wins() {
    let mut table = table();
    table.acquire(request(1, "a", Shared, 1));
    table.acquire(request(2, "a", Shared, 2));
    let younger = table.acquire(request(2, "a", Exclusive, 3));
    assert_eq!(younger.verdict, Verdict::Queued(vec![tx(1)]));
    let older = table.acquire(request(1, "a", Exclusive, 4));
    assert_eq!(older.verdict, Verdict::Granted);
    assert_eq!(older.wounded.iter().map(|(tx, _)| *tx).collect::<Vec<_>>(), [tx(2)]);
}

#[test]
fn nobody_passes_an_older_waiter_that_is_in_the_way() {
    let mut table = table();
    table.acquire(request(1, "a", Shared, 1));
    table.acquire(request(3, "a", Exclusive, 2));
    let behind = table.acquire(request(4, "a", Shared, 3));
    assert_eq!(behind.verdict, Verdict::Queued(vec![tx(3)]));
    assert_eq!(table.acquire(request(2, "a", Shared, 4)).verdict, Verdict::Granted);
    table.release(tx(1));
    assert_eq!(table.release(tx(2)).granted, [2]);
    assert_eq!(table.release(tx(3)).granted, [3]);
}

#[test]
fn a_transaction_that_only_read_is_released_when_it_is_sealed() {
    let mut table = table();
    table.acquire(request(1, "a", Shared, 1));
    table.acquire(request(2, "a", Exclusive, 2));
    assert_eq!(table.leave(tx(1)).granted, [2]);
    table.acquire(request(3, "b", Shared, 3));
    table.acquire(request(3, "a", Shared, 4));
    assert_eq!(table.leave(tx(3)).verdict, Verdict::Waiting(1));
    table.release(tx(2));
    assert!(table.is_idle());
}

#[test]
fn quotas_refuse_and_leave_no_trace() {
    let mut table =
        LockTable::new(Quotas { per_transaction: 2, waiters_per_key: 1, per_client: 2 });
    table.acquire(request(1, "a", Exclusive, 1));
    table.acquire(request(1, "b", Exclusive, 2));
    let third = table.acquire(request(1, "c", Exclusive, 3)).verdict;
    assert_eq!(third, Verdict::Refused(Exceeded::Transaction));
    table.acquire(request(2, "a", Exclusive, 4));
    let crowd = table.acquire(request(3, "a", Exclusive, 5)).verdict;
    assert_eq!(crowd, Verdict::Refused(Exceeded::Key));
    let mut greedy = request(4, "d", Exclusive, 6);
    greedy.client = client(1);
    assert_eq!(table.acquire(greedy).verdict, Verdict::Refused(Exceeded::Client));
    table.release(tx(1));
    table.release(tx(2));
    assert!(table.is_idle());
}

#[test]
fn a_script_is_answered_command_by_command() {
    let mut table = table();
    let script = Script(vec![
        Command::Acquire(request(1, "a", Exclusive, 1)),
        Command::Acquire(request(2, "a", Shared, 2)),
        Command::Survey { rows: 8 },
        Command::Release { tx: tx(1) },
    ]);
    let Answers(answers) = table.run(script);
    let row = Row {
        key: key("a"),
        holders: vec![(tx(1), Exclusive, false)],
        waiters: vec![(tx(2), Shared)],
    };
    assert_eq!(answers[2], Answer::Survey(Survey { held: 1, waiting: 1, rows: vec![row] }));
    assert!(matches!(&answers[3], Answer::Effect(effect) if effect.granted == [2]));
}

/// No cycle among those who wait, and nobody shares what cannot be shared.
fn check(table: &LockTable) {
    let mut waits: BTreeMap<TxId, BTreeSet<TxId>> = BTreeMap::new();
    for row in table.rows(usize::MAX) {
        let writers = row.holders.iter().filter(|(_, mode, _)| *mode == Exclusive).count();
        assert!(writers == 0 || row.holders.len() == 1, "{row:?}");
        for (place, (waiter, mode)) in row.waiters.iter().enumerate() {
            let ahead = row.waiters[..place].iter().map(|(tx, mode)| (*tx, *mode));
            let holders = row.holders.iter().map(|(tx, mode, _)| (*tx, *mode));
            let blockers = holders
                .chain(ahead)
                .filter(|(other, used)| other != waiter && !used.compatible(*mode));
            waits.entry(*waiter).or_default().extend(blockers.map(|(tx, _)| tx));
        }
    }
    let mut free: BTreeSet<TxId> = waits.values().flatten().copied().collect();
    free.retain(|tx| !waits.contains_key(tx));
    while let Some((tx, _)) =
        waits.iter().find(|(_, blockers)| blockers.iter().all(|tx| free.contains(tx)))
    {
        let tx = *tx;
        waits.remove(&tx);
        free.insert(tx);
    }
    assert!(waits.is_empty(), "a cycle: {waits:?}");
}

/// 2 to 8 transactions ask for keys in any order until all are through: none waits for ever, victims
/// start again with their age, and the table is empty at the end.
#[test]
fn random_transactions_all_get_through() {
    for seed in 0..crate::testing::seeds(500) {
        let mut dice = Dice::new(seed);
        let count = 2 + dice.below(7);
        let (mut table, mut copy) = (table(), table());
        let mut left: BTreeMap<u64, u64> = (0..count).map(|tx| (tx, 1 + dice.below(5))).collect();
        let plan = left.clone();
        let mut waiting: BTreeMap<Ticket, u64> = BTreeMap::new();
        let mut ticket = 0;
        for turn in 0.. {
            assert!(turn < 10_000, "seed {seed}: somebody starves");
            let ready: Vec<u64> =
                left.keys().copied().filter(|tx| !waiting.values().any(|w| w == tx)).collect();
            let Some(number) = dice.pick(&ready) else { break };
            let command = if left[&number] == 0 {
                left.remove(&number);
                Command::Release { tx: tx(number) }
            } else {
                ticket += 1;
                let mode = if dice.below(3) == 0 { Shared } else { Exclusive };
                let name = ["a", "b", "c", "d"][dice.below(4) as usize];
                Command::Acquire(request(number, name, mode, ticket))
            };
            let acquired = matches!(command, Command::Acquire(_));
            let answer = table.take(command.clone());
            assert_eq!(answer, copy.take(command));
            check(&table);
            let Answer::Effect(effect) = answer else { panic!("no survey was asked for") };
            match effect.verdict {
                Verdict::Granted if acquired => *left.get_mut(&number).expect("known") -= 1,
                Verdict::Granted => {}
                Verdict::Queued(blockers) => {
                    assert!(!blockers.is_empty());
                    waiting.insert(ticket, number);
                }
                other => panic!("seed {seed}: {other:?}"),
            }
            let mut granted = effect.granted;
            for (victim, wound) in effect.wounded {
                assert!(victim > wound.by, "the younger gives way");
                waiting.retain(|_, waiter| *waiter != victim.number());
                left.insert(victim.number(), plan[&victim.number()]);
                let Answer::Effect(effect) = table.take(Command::Release { tx: victim }) else {
                    panic!("a release has an effect")
                };
                copy.release(victim);
                granted.extend(effect.granted);
            }
            for ticket in granted {
                let number = waiting.remove(&ticket).expect("who is granted waited");
                *left.get_mut(&number).expect("known") -= 1;
            }
        }
        assert!(left.is_empty() && table.is_idle(), "seed {seed}");
    }
}

/// Every order in which a ring of 2 to 5 transactions can ask: each holds one key and wants the next
/// one's. The outcome never has a cycle, and the oldest is never the victim.
#[test]
fn every_ring_breaks_without_the_oldest() {
    for size in 2..=5_u64 {
        for order in permutations(size) {
            let mut table = table();
            for number in 0..size {
                table.acquire(request(number, &number.to_string(), Exclusive, number));
            }
            for number in order {
                let next = ((number + 1) % size).to_string();
                let effect = table.acquire(request(number, &next, Exclusive, size + number));
                assert!(effect.wounded.iter().all(|(victim, _)| *victim != tx(0)));
                check(&table);
            }
            (0..size).for_each(|number| drop(table.release(tx(number))));
            assert!(table.is_idle());
        }
    }
}

fn permutations(size: u64) -> Vec<Vec<u64>> {
    let Some(last) = size.checked_sub(1) else { return vec![vec![]] };
    let shorter = permutations(last);
    let places = 0..size as usize;
    let longer = shorter.iter().flat_map(|order| {
        places.clone().map(|place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    });
    longer.collect()
}
