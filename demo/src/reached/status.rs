//! How replicas do, and what is held against them, as one console can tell.

use std::{collections::BTreeMap, future::poll_fn, pin::Pin, task::Poll};

use maftia_core::{
    fault::Class,
    id::{GroupId, PartyId},
    wire,
};

use super::{
    Carrier, Condition, Echo, FaultKind, GroupConfig, GroupStatus, Item, Reached, Replica,
    ReplicaStatus, State,
};

/// A replica that is this many slots behind a correct one is called lagging. The slots of a healthy
/// group differ by a round or two.
const LAG: u64 = 32;

impl Reached {
    /// Looks at all replicas, at the same time: silent ones cost a second together.
    pub(super) async fn look(&self) -> Vec<GroupStatus> {
        let suspects = self.suspects().await;
        let mut groups = Vec::new();
        for (group, conditions) in self.conditions().await {
            groups.push(self.group_status(group, &conditions, &suspects));
        }
        groups
    }

    async fn conditions(&self) -> Vec<(&GroupConfig, Vec<Condition>)> {
        let groups = self.config().groups();
        let looks = groups.iter().flat_map(|group| {
            PartyId::all(group.thresholds.n()).map(|party| self.cluster.condition(group.id, party))
        });
        let mut conditions = all(looks.collect()).await.into_iter();
        let mut take = |n: u16| conditions.by_ref().take(usize::from(n)).collect();
        groups.iter().map(|group| (group, take(group.thresholds.n()))).collect()
    }

    fn group_status(
        &self,
        group: &GroupConfig,
        conditions: &[Condition],
        suspects: &BTreeMap<Replica, Class>,
    ) -> GroupStatus {
        let ordered = reached(conditions, group.thresholds.one_correct());
        let replicas = conditions.iter().zip(PartyId::all(group.thresholds.n()));
        let replicas = replicas.map(|(condition, party)| {
            let id = self.replica(group.id, party);
            let fault = self.known_fault(&id, condition);
            let state = match state(condition, ordered) {
                State::Ok => suspects.get(&id).map_or(State::Ok, |class| match class {
                    Class::Proven => State::ProvenFaulty,
                    _ => State::Suspect,
                }),
                other => other,
            };
            ReplicaStatus { id, state, fault }
        });
        GroupStatus {
            name: group.name.to_string(),
            n: group.thresholds.n(),
            f: group.thresholds.f(),
            ordered,
            replicas: replicas.collect(),
        }
    }

    /// The fault that was injected, here or by another console.
    fn known_fault(&self, id: &Replica, condition: &Condition) -> Option<FaultKind> {
        let mut faults = self.faults.borrow_mut();
        if let Condition::Answers(status) = condition {
            match status.fault {
                Some(kind) => faults.insert(id.clone(), kind),
                None => faults.remove(id),
            };
        }
        faults.get(id).copied()
    }

    /// What members and clients hold against members.
    pub(super) async fn held(&self) -> Vec<Item> {
        let others: Vec<_> = self.clients.borrow().values().cloned().collect();
        let others: Vec<_> = others.iter().map(|client| &**client).collect();
        let items = self.cluster.evidence(&others).await;
        let item = |it: maftia::cluster::Item| Item {
            culprit: self.replica(it.culprit.0, it.culprit.1),
            kind: it.kind.to_owned(),
            class: class(it.kind, it.class).to_string(),
            text: it.text,
            proof: it.proof.map(|proof| hex(&wire::encode(&proof))),
        };
        items.into_iter().map(item).collect()
    }

    /// Whom members accuse, and how surely. Silence is no accusation, and a cure ends it.
    async fn suspects(&self) -> BTreeMap<Replica, Class> {
        let mut suspects = BTreeMap::new();
        for item in self.cluster.evidence(&[]).await {
            let (class, culprit) =
                (class(item.kind, item.class), self.replica(item.culprit.0, item.culprit.1));
            if class >= Class::Attested && !self.healed.borrow().contains(&culprit) {
                let worst = suspects.entry(culprit).or_insert(class);
                *worst = class.max(*worst);
            }
        }
        suspects
    }

    /// What replicas did since the last look, by their own word. A busy console does not wait for
    /// those that did not answer then.
    pub(super) async fn news(&self, idle: bool) -> Vec<Echo> {
        let groups = self.config().groups().iter();
        let replicas = groups.flat_map(|group| {
            PartyId::all(group.thresholds.n()).map(move |party| (group.id, party))
        });
        let before = self.slots.borrow().clone();
        let awake = |(group, party): &(GroupId, PartyId)| {
            idle || before.get(&self.replica(*group, *party)) != Some(&None)
        };
        let asked: Vec<_> = replicas.filter(awake).collect();
        let looks = asked.iter().map(|(group, party)| self.cluster.condition(*group, *party));
        let conditions = all(looks.collect()).await;
        let mut echoes = Vec::new();
        for ((group, party), condition) in asked.into_iter().zip(conditions) {
            let replica = self.replica(group, party);
            let slot = match condition {
                Condition::Answers(status) => Some(status.slot),
                Condition::Silent | Condition::Stopped(_) => None,
            };
            let known = self.slots.borrow_mut().insert(replica.clone(), slot);
            if let Some(text) = known.and_then(|before| change(before, slot, idle)) {
                echoes.push(Echo { replica, text });
            }
        }
        echoes
    }

    /// How far the replicas are that answer and are not faulty, a list a group.
    pub(super) async fn progress(&self) -> Vec<Vec<(u64, bool)>> {
        let conditions = self.conditions().await;
        let one = |condition: &Condition| match condition {
            Condition::Answers(it) if it.fault.is_none() => Some((it.slot, it.behind)),
            _ => None,
        };
        conditions.iter().map(|(_, all)| all.iter().filter_map(one).collect()).collect()
    }
}

/// What happened to a replica between two looks, if it is worth a word.
fn change(before: Option<u64>, now: Option<u64>, idle: bool) -> Option<String> {
    match (before, now) {
        (Some(_), None) => Some("does not answer any more".to_owned()),
        (None, Some(slot)) => Some(format!("answers again, at slot {slot}")),
        (Some(before), Some(now)) if now > before && !idle => {
            Some(format!("ordered {} more, is at slot {now}", now - before))
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Silence is a hint, whoever tells of it.
fn class(kind: &str, class: Class) -> Class {
    if kind == "silent" { Class::Suspected } else { class }
}

/// Whether the replicas of each group are equally far.
pub(super) fn is_level(groups: &[Vec<(u64, bool)>]) -> bool {
    groups.iter().all(|group| group.windows(2).all(|two| two[0].0 == two[1].0))
        && groups.iter().flatten().all(|(_, behind)| !behind)
}

/// The slot that `count` replicas say they have reached: one of them is correct.
fn reached(conditions: &[Condition], count: usize) -> u64 {
    let slot = |condition: &Condition| match condition {
        Condition::Answers(status) => Some(status.slot),
        _ => None,
    };
    let mut slots: Vec<u64> = conditions.iter().filter_map(slot).collect();
    slots.sort_unstable_by(|a, b| b.cmp(a));
    slots.get(count - 1).copied().unwrap_or(0)
}

fn state(condition: &Condition, ordered: u64) -> State {
    match condition {
        Condition::Answers(status) if status.behind || status.slot + LAG < ordered => {
            State::Lagging
        }
        Condition::Answers(_) => State::Ok,
        Condition::Silent => State::Silent,
        Condition::Stopped(_) => State::Stopped,
    }
}

/// Runs futures at the same time; gives what they gave, in their order.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(move |cx| {
        for (future, done) in running.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            Poll::Pending
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use maftia::control::Status;

    use super::*;

    fn at(slot: u64, behind: bool) -> Condition {
        Condition::Answers(Status { slot, behind, fault: None, records: 0, actors: 1 })
    }

    #[test]
    fn a_liar_cannot_make_others_look_late() {
        let group = [at(40, false), at(41, false), at(1_000_000, false), Condition::Silent];
        let ordered = reached(&group, 2);
        assert_eq!(ordered, 41);
        let states: Vec<_> = group.iter().map(|it| state(it, ordered)).collect();
        assert_eq!(states, [State::Ok, State::Ok, State::Ok, State::Silent]);
        assert_eq!(reached(&[Condition::Silent, at(3, false)], 2), 0);
    }

    #[test]
    fn late_ones_lag_and_stopped_ones_are_stopped() {
        assert_eq!(state(&at(5, false), 5 + LAG), State::Ok);
        assert_eq!(state(&at(4, false), 5 + LAG), State::Lagging);
        assert_eq!(state(&at(90, true), 90), State::Lagging);
        assert_eq!(state(&Condition::Stopped("x".into()), 0), State::Stopped);
    }

    #[test]
    fn rest_is_when_all_are_equally_far_and_none_is_behind() {
        assert!(is_level(&[vec![(3, false), (3, false)], vec![]]));
        assert!(!is_level(&[vec![(3, false), (4, false)]]));
        assert!(!is_level(&[vec![(3, false), (3, true)]]));
    }

    #[test]
    fn only_what_matters_is_echoed() {
        assert_eq!(change(Some(3), Some(5), false).unwrap(), "ordered 2 more, is at slot 5");
        assert_eq!(change(Some(3), Some(5), true), None);
        assert_eq!(change(Some(3), Some(3), false), None);
        assert_eq!(change(Some(3), None, true).unwrap(), "does not answer any more");
        assert_eq!(change(None, Some(9), true).unwrap(), "answers again, at slot 9");
        assert_eq!(change(None, None, true), None);
    }

    #[tokio::test]
    async fn futures_run_together_and_keep_their_order() {
        let wait = |millis| async move {
            tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            millis
        };
        let begun = std::time::Instant::now();
        assert_eq!(all(vec![wait(60), wait(1), wait(60)]).await, [60, 1, 60]);
        assert!(begun.elapsed().as_millis() < 115);
    }
}
