//! The real services and their real codec, with one plain copy of each in place of a replicated
//! group: what is tested is the translation, not the replication.

use std::{cell::Cell, collections::BTreeMap};

use bytes::Bytes;
use maftia_core::{
    config::Config,
    crypto::Digest,
    id::Slot,
    replica::{
        Number,
        service::{Action, Command as Ordered, Item as Ordering, Service},
    },
};
use maftia_tss::{
    lock::LockTable,
    manager::{ManagerSpec, TransactionManager},
    resource::{ResourceManager, ResourceSpec},
    resources::{Account as Accounts, Answer as Value},
};

use super::*;
use crate::{command, report::Report, shell::Failed, shell::Shell};

/// One copy of each service.
struct Plain {
    config: Config,
    manager: RefCell<TransactionManager>,
    resources: RefCell<BTreeMap<GroupId, (ResourceManager<Accounts>, LockTable)>>,
    replies: RefCell<BTreeMap<(ClientId, Number), Bytes>>,
    numbers: Cell<u32>,
    /// A replica that answers this instead.
    liar: RefCell<Option<(Replica, Bytes)>>,
}

impl Plain {
    fn new() -> Self {
        let config = Config::parse(Config::sample()).unwrap();
        let manager = config.transactions().unwrap().id;
        let resources = config.groups().iter().filter_map(|group| match &group.service {
            ServiceConfig::Transactions => None,
            ServiceConfig::Accounts(accounts) => {
                let initial = accounts.iter().map(|(key, sum)| (Key::new(key).unwrap(), *sum));
                let spec = ResourceSpec::new(manager, Accounts::default(), initial.collect());
                let table = LockTable::new(spec.quotas.clone());
                Some((group.id, (ResourceManager::at(group.id, spec), table)))
            }
        });
        Self {
            resources: RefCell::new(resources.collect()),
            manager: RefCell::new(TransactionManager::at(manager, ManagerSpec::default())),
            config,
            replies: RefCell::default(),
            numbers: Cell::default(),
            liar: RefCell::default(),
        }
    }

    /// Lets a command and all that follows from it take effect.
    fn order(&self, to: GroupId, command: Ordered) {
        let mut waiting = vec![(to, command)];
        while let Some((group, command)) = waiting.pop() {
            let items = vec![Ordering { slot: Slot::FIRST, command }];
            for action in self.apply(group, items) {
                match action {
                    Action::Reply { client, number, body } => {
                        self.replies.borrow_mut().insert((client, number), body);
                    }
                    Action::Tell { to, body } => {
                        waiting.insert(0, (to, Ordered::Statement { from: group, body }));
                    }
                }
            }
        }
    }

    fn apply(&self, group: GroupId, items: Vec<Ordering>) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some((resource, locks)) = self.resources.borrow_mut().get_mut(&group) {
            let answers = resource.plan(&items).map(|script| locks.run(script));
            resource.apply(items, answers, &mut actions);
        } else {
            self.manager.borrow_mut().apply(items, None, &mut actions);
        }
        actions
    }
}

impl Carrier for Plain {
    fn config(&self) -> &Config {
        &self.config
    }

    async fn open(&self, client: &str) -> Result<ClientId, Failure> {
        Ok(ClientId::of_key(&Digest::of("test", client.as_bytes())))
    }

    fn name_of(&self, client: ClientId) -> String {
        let known = ["you", "bob"];
        let is = |name: &&&str| ClientId::of_key(&Digest::of("test", name.as_bytes())) == client;
        known.iter().find(is).map_or_else(|| client.to_string(), |name| (*name).to_owned())
    }

    async fn carry(&self, client: &str, to: GroupId, body: Bytes) -> Result<Answer, Failure> {
        let (client, count) = (self.open(client).await?, self.numbers.get());
        self.numbers.set(count + 1);
        let number = Number::new(1, count);
        self.order(to, Ordered::Request { client, number, body });
        let body = loop {
            if let Some(body) = self.replies.borrow_mut().remove(&(client, number)) {
                break body;
            }
            tokio::task::yield_now().await;
        };
        let mut answer = Answer { body, agree: PartyId::all(4).collect(), ..Answer::default() };
        if let Some((at, lie)) = &*self.liar.borrow()
            && at.group == *self.config.group(to).unwrap().name
        {
            answer.agree.retain(|party| party.number() != at.index);
            answer.outvoted.push((PartyId::new(at.index), lie.clone()));
        }
        Ok(answer)
    }

    fn faults(&self) -> Vec<(Replica, FaultKind)> {
        let liar = self.liar.borrow();
        liar.iter().map(|(at, _)| (at.clone(), FaultKind::CorruptReply)).collect()
    }

    async fn status(&self) -> Result<Vec<GroupStatus>, Failure> {
        Ok(Vec::new())
    }

    async fn fault(&self, at: &Replica, _: FaultKind) -> Result<(), Failure> {
        let lie = maftia_tss::request::ResourceReply::Done(Value {
            before: None,
            value: "9999".to_owned(),
        });
        *self.liar.borrow_mut() = Some((at.clone(), maftia_core::wire::encode(&lie)));
        Ok(())
    }

    async fn heal(&self, _: &Replica) -> Result<(), Failure> {
        *self.liar.borrow_mut() = None;
        Ok(())
    }

    async fn accusations(&self) -> Result<Vec<Item>, Failure> {
        Ok(Vec::new())
    }

    async fn quiet(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn echoes(&self, _: bool) -> Vec<Echo> {
        Vec::new()
    }
}

async fn run(shell: &mut Shell<Live<Plain>>, line: &str) -> Result<Report, Failed> {
    shell.run(command::parse(line).unwrap().unwrap()).await
}

/// Runs lines; gives the JSON of the last one.
async fn json(lines: &[&str]) -> serde_json::Value {
    let mut shell = Shell::new(Live::new(Plain::new()), "you");
    let mut last = serde_json::Value::Null;
    for line in lines {
        let report = run(&mut shell, line).await.unwrap_or_else(|why| panic!("{line}: {why:?}"));
        last = serde_json::to_value(report).unwrap();
    }
    last
}

/// Runs lines of which the last one fails; gives its code.
async fn code(lines: &[&str]) -> Code {
    let mut shell = Shell::new(Live::new(Plain::new()), "you");
    let (last, before) = lines.split_last().unwrap();
    for line in before {
        run(&mut shell, line).await.unwrap_or_else(|why| panic!("{line}: {why:?}"));
    }
    run(&mut shell, last).await.expect_err("a failure").failure.code
}

#[tokio::test]
async fn a_transfer_goes_through_the_real_services() {
    let lines = ["begin", "transfer left/alice right/bob 30", "commit", "read right/bob"];
    let changes = json(&lines[..2]).await["changes"].clone();
    assert_eq!((&changes[0]["before"], &changes[0]["after"]), (&100.into(), &70.into()));
    assert_eq!(json(&lines[..3]).await["outcome"], "committed");
    assert_eq!(json(&lines).await["value"], 130);
    assert_eq!(json(&["begin", "write left/carol 5", "read left/carol"]).await["value"], 5);
    let aborted = ["begin", "write left/alice 5", "abort", "read left/alice"];
    assert_eq!(json(&aborted).await["value"], 100);
}

#[tokio::test]
async fn what_the_services_refuse_keeps_its_meaning() {
    assert_eq!(code(&["read left/nobody"]).await, Code::UnknownAccount);
    assert_eq!(
        code(&["begin", "transfer left/alice right/bob 101"]).await,
        Code::InsufficientFunds
    );
    assert_eq!(code(&["begin", "write left/alice -1"]).await, Code::BadAmount);
    assert_eq!(code(&["join 7Q-1234"]).await, Code::UnknownToken);
    assert_eq!(code(&["tx show 7Q"]).await, Code::UnknownTransaction);
    assert_eq!(code(&["begin", "commit", "commit"]).await, Code::AlreadyCommitted);
    let token = json(&["begin"]).await["token"].as_str().unwrap().to_owned();
    let join = format!("join {token}");
    assert_eq!(code(&[&join]).await, Code::UnknownToken, "the token is of another cluster");
}

#[tokio::test]
async fn clients_of_one_console_agree_one_after_the_other() {
    let both = [
        "begin",
        "transfer left/alice right/bob 10",
        "as bob",
        "join $token",
        "read right/bob",
        "commit",
        "as you",
        "commit",
    ];
    let pending = json(&both[..6]).await;
    assert_eq!(pending["outcome"], "pending");
    assert_eq!(pending["waiting_for"], serde_json::json!(["you"]));
    assert_eq!(json(&both).await["outcome"], "committed");
    let mut shell = Shell::new(Live::new(Plain::new()), "you");
    for line in ["begin", "as bob", "join $token", "abort \"not with me\""] {
        run(&mut shell, line).await.unwrap();
    }
    assert_eq!(shell.tx(), None);
    run(&mut shell, "as you").await.unwrap();
    let failed = run(&mut shell, "commit").await.unwrap_err().failure;
    assert_eq!(failed.code, Code::AlreadyAborted);
    assert!(failed.message.contains("`bob`: not with me"), "{}", failed.message);
}

#[tokio::test]
async fn consoles_that_share_a_transaction_wait_for_each_other() {
    let live = Live::new(Plain::new());
    let begun = live.begin("you", None).await.unwrap().value;
    live.join("bob", &begun.token).await.unwrap();
    let account = "right/bob".parse().unwrap();
    let late = async {
        tokio::task::yield_now().await;
        // Joining a group makes the first vote stale; it is repeated.
        live.write("bob", &begun.tx, &account, 7).await.unwrap();
        live.commit("bob", &begun.tx, &[]).await.unwrap().value
    };
    let (first, second) = tokio::join!(live.commit("you", &begun.tx, &[]), late);
    assert_eq!((first.unwrap().value, second), (Ending::Committed, Ending::Committed));
    assert_eq!(live.read("you", None, &account).await.unwrap().value, 7);
}

#[tokio::test]
async fn a_lie_is_outvoted_shown_and_remembered() {
    let lie = "fault left[2] corrupt-reply";
    let read = json(&[lie, "read left/alice"]).await;
    assert_eq!((&read["value"], &read["agree"], &read["of"]), (&100.into(), &3.into(), &4.into()));
    let evidence = json(&[lie, "read left/alice", "read left/alice", "evidence"]).await;
    let items = evidence["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{evidence}");
    assert_eq!((&items[0]["culprit"], &items[0]["class"]), (&"left[2]".into(), &"observed".into()));
    assert!(items[0]["text"].as_str().unwrap().contains("`9999`"));
}

#[tokio::test]
async fn lists_show_transactions_and_locks_by_name() {
    let open = ["begin", "write left/alice 5", "tx list"];
    let list = json(&open).await;
    let tx = list["transactions"][0]["tx"].as_str().unwrap().to_owned();
    assert_eq!(list["transactions"][0]["state"], "active");
    let show = format!("tx show {tx}");
    let card = json(&["begin", "write left/alice 5", &show]).await;
    assert_eq!(card["clients"], serde_json::json!(["you"]));
    assert_eq!(card["groups"]["left"], "registered");
    let locks = json(&["begin", "write left/alice 5", "locks"]).await;
    assert_eq!(locks["locks"][0]["account"], "left/alice");
    assert_eq!(locks["locks"][0]["mode"], "exclusive");
    assert_eq!(locks["locks"][0]["holders"], serde_json::json!([tx]));
}
