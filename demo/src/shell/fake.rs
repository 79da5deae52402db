//! A stand-in for a cluster: one table of accounts, no replica, no protocol. For tests of what is
//! above the door only; it proves nothing about what is below.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    cluster::{
        Account, Begun, Change, Cluster, Echo, Ending, FaultKind, Group, GroupStatus, Item,
        LockLine, Replica, ReplicaStatus, Role, State, TxCard, TxLine, Voted, Votes, kind,
    },
    failure::{Code, Failure},
};

/// One transaction at a time and group; votes are made up from the injected faults.
#[derive(Default)]
pub(crate) struct Fake {
    accounts: RefCell<BTreeMap<Account, i64>>,
    open: RefCell<BTreeMap<String, Open>>,
    over: RefCell<BTreeMap<String, Ending>>,
    faults: RefCell<BTreeMap<Replica, FaultKind>>,
    begun: Cell<u32>,
}

#[derive(Clone, Default)]
struct Open {
    clients: BTreeSet<String>,
    agreed: BTreeSet<String>,
    writes: BTreeMap<Account, i64>,
}

impl Fake {
    /// The accounts of the demo.
    pub(crate) fn bank() -> Self {
        let fake = Self::default();
        for account in ["left/alice", "right/bob"] {
            fake.accounts.borrow_mut().insert(account.parse().unwrap(), 100);
        }
        fake
    }

    fn votes(&self, group: &str) -> Result<Votes, Failure> {
        let mut votes = Votes { group: group.to_owned(), of: 4, ..Votes::default() };
        let faults = self.faults.borrow();
        for index in 0..4 {
            match faults.get(&Replica { group: group.to_owned(), index }) {
                Some(FaultKind::Crash | FaultKind::Mute) => votes.silent.push(index),
                Some(FaultKind::CorruptReply) => votes.outvoted.push((index, "9999".to_owned())),
                _ => votes.agree.push(index),
            }
        }
        let lying = |at: &Replica, kind: &FaultKind| at.group == group && kind::lies(*kind);
        votes.broken = faults.iter().filter(|(at, kind)| lying(at, kind)).count() > 1;
        if votes.agree.len() + votes.outvoted.len() < 3 {
            return Err(Failure::quorum_lost(group, votes.agree.len(), 4, 3, 1));
        }
        Ok(votes)
    }

    fn voted<T>(&self, value: T, groups: &[&str]) -> Result<Voted<T>, Failure> {
        let votes = groups.iter().map(|group| self.votes(group)).collect::<Result<_, _>>()?;
        Ok(Voted { value, votes })
    }

    fn seen(&self, tx: Option<&str>, account: &Account) -> Result<i64, Failure> {
        let open = self.open.borrow();
        let written = tx.and_then(|tx| open.get(tx)?.writes.get(account).copied());
        written.or_else(|| self.accounts.borrow().get(account).copied()).ok_or_else(|| {
            let message = format!("there is no account {account}");
            Failure::new(Code::UnknownAccount, message, "`write` one")
        })
    }

    fn put(&self, tx: &str, account: &Account, value: i64) -> Result<(), Failure> {
        let mut open = self.open.borrow_mut();
        let entry = open.get_mut(tx).ok_or_else(|| {
            Failure::new(Code::Aborted, "the transaction was aborted by another client", "again")
        })?;
        entry.writes.insert(account.clone(), value);
        Ok(())
    }

    fn finish(&self, tx: &str, ending: Ending) -> Result<Voted<Ending>, Failure> {
        if let Some(open) = self.open.borrow_mut().remove(tx)
            && ending == Ending::Committed
        {
            self.accounts.borrow_mut().extend(open.writes);
        }
        let ending = self.over.borrow_mut().entry(tx.to_owned()).or_insert(ending).clone();
        self.voted(ending, &["tm"])
    }
}

impl Cluster for Fake {
    fn groups(&self) -> Vec<Group> {
        let group = |name: &str, role| Group { name: name.to_owned(), n: 4, f: 1, role };
        vec![
            group("tm", Role::Transactions),
            group("left", Role::Resources),
            group("right", Role::Resources),
        ]
    }

    fn accounts(&self) -> Vec<Account> {
        self.accounts.borrow().keys().cloned().collect()
    }

    async fn echoes(&self, _: bool) -> Vec<Echo> {
        Vec::new()
    }

    async fn speak_as(&self, client: &str) -> Result<(), Failure> {
        if client == "nobody" {
            return Err(Failure::new(Code::UnknownClient, "`nobody` has no key", "deal one"));
        }
        Ok(())
    }

    async fn begin(&self, client: &str, _: Option<Duration>) -> Result<Voted<Begun>, Failure> {
        let number = self.begun.get() + 1;
        self.begun.set(number);
        let tx = format!("T{number}");
        let clients = BTreeSet::from([client.to_owned()]);
        self.open.borrow_mut().insert(tx.clone(), Open { clients, ..Open::default() });
        self.voted(Begun { token: format!("{tx}-secret"), tx }, &["tm"])
    }

    async fn join(&self, client: &str, token: &str) -> Result<Voted<String>, Failure> {
        let tx = token.strip_suffix("-secret").unwrap_or_default();
        if let Some(open) = self.open.borrow_mut().get_mut(tx) {
            open.clients.insert(client.to_owned());
        } else {
            let message = format!("`{token}` opens no transaction");
            return Err(Failure::new(Code::UnknownToken, message, "copy all of it"));
        }
        self.voted(tx.to_owned(), &["tm"])
    }

    async fn read(
        &self,
        _: &str,
        tx: Option<&str>,
        account: &Account,
    ) -> Result<Voted<i64>, Failure> {
        self.voted(self.seen(tx, account)?, &[&account.group])
    }

    async fn write(
        &self,
        _: &str,
        tx: &str,
        account: &Account,
        value: i64,
    ) -> Result<Voted<Change>, Failure> {
        let before = self.seen(Some(tx), account).ok();
        self.put(tx, account, value)?;
        let change = Change { account: account.clone(), before, after: value };
        self.voted(change, &[&account.group])
    }

    async fn transfer(
        &self,
        _: &str,
        tx: &str,
        from: &Account,
        to: &Account,
        amount: i64,
    ) -> Result<Voted<Vec<Change>>, Failure> {
        let (has, gets) = (self.seen(Some(tx), from)?, self.seen(Some(tx), to)?);
        if has < amount {
            let message = format!("{from} holds {has}");
            return Err(Failure::new(Code::InsufficientFunds, message, "move less"));
        }
        self.put(tx, from, has - amount)?;
        self.put(tx, to, gets + amount)?;
        let change = |account: &Account, before, after| Change {
            account: account.clone(),
            before: Some(before),
            after,
        };
        let changes = vec![change(from, has, has - amount), change(to, gets, gets + amount)];
        self.voted(changes, &[&from.group, &to.group])
    }

    async fn commit(
        &self,
        client: &str,
        tx: &str,
        here: &[String],
    ) -> Result<Voted<Ending>, Failure> {
        self.votes("tm")?;
        let missing: Vec<String> = match self.open.borrow_mut().get_mut(tx) {
            None => Vec::new(),
            Some(open) => {
                open.agreed.insert(client.to_owned());
                open.clients.difference(&open.agreed).cloned().collect()
            }
        };
        if missing.is_empty() {
            return self.finish(tx, Ending::Committed);
        }
        assert!(
            missing.iter().any(|it| here.contains(it)),
            "this stand-in would wait for {missing:?} for ever"
        );
        self.voted(Ending::Pending(missing), &["tm"])
    }

    async fn abort(&self, _: &str, tx: &str, reason: &str) -> Result<Voted<Ending>, Failure> {
        self.finish(tx, Ending::Aborted(reason.to_owned()))
    }

    async fn transactions(&self) -> Result<Voted<Vec<TxLine>>, Failure> {
        let open = self.open.borrow();
        let lines = open.iter().map(|(tx, open)| TxLine {
            tx: tx.clone(),
            state: "active".to_owned(),
            clients: open.clients.len(),
            groups: 0,
            left_ms: 1_000,
        });
        self.voted(lines.collect(), &["tm"])
    }

    async fn transaction(&self, tx: &str) -> Result<Voted<TxCard>, Failure> {
        let open = self.open.borrow().get(tx).cloned().ok_or_else(|| {
            Failure::new(Code::UnknownTransaction, format!("no transaction {tx}"), "`tx list`")
        })?;
        let card = TxCard {
            tx: tx.to_owned(),
            state: "active".to_owned(),
            waiting_for: open.clients.difference(&open.agreed).cloned().collect(),
            clients: open.clients.into_iter().collect(),
            groups: BTreeMap::new(),
            reason: None,
        };
        self.voted(card, &["tm"])
    }

    async fn locks(&self) -> Result<Voted<Vec<LockLine>>, Failure> {
        let open = self.open.borrow();
        let locks = open.iter().flat_map(|(tx, open)| {
            open.writes.keys().map(|account| LockLine {
                account: account.clone(),
                mode: "exclusive".to_owned(),
                holders: vec![tx.clone()],
                waiting: Vec::new(),
            })
        });
        self.voted(locks.collect(), &["left", "right"])
    }

    async fn status(&self) -> Result<Vec<GroupStatus>, Failure> {
        let faults = self.faults.borrow();
        let status = |name: &str, index| {
            let id = Replica { group: name.to_owned(), index };
            let fault = faults.get(&id).copied();
            let stopped = fault == Some(FaultKind::Crash);
            ReplicaStatus { id, state: if stopped { State::Stopped } else { State::Ok }, fault }
        };
        let groups = self.groups().into_iter().map(|Group { name, n, f, .. }| GroupStatus {
            replicas: (0..n).map(|index| status(&name, index)).collect(),
            name,
            n,
            f,
            ordered: 0,
        });
        Ok(groups.collect())
    }

    async fn fault(&self, at: &Replica, kind: FaultKind) -> Result<(), Failure> {
        self.faults.borrow_mut().insert(at.clone(), kind);
        Ok(())
    }

    async fn heal(&self, at: &Replica) -> Result<(), Failure> {
        self.faults.borrow_mut().remove(at);
        Ok(())
    }

    async fn evidence(&self) -> Result<Vec<Item>, Failure> {
        let faults = self.faults.borrow();
        let items = faults.iter().map(|(at, kind)| Item {
            culprit: at.clone(),
            kind: kind.name().to_owned(),
            class: kind::reaches(*kind).to_owned(),
            text: kind::does(*kind).to_owned(),
            proof: None,
        });
        Ok(items.collect())
    }

    async fn quiet(&self) -> Result<(), Failure> {
        Ok(())
    }
}
