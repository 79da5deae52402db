//! A resource manager that acts on PREPARE as if it were COMMIT.

use maftia_core::{
    protocol::{Kind, Protocol},
    replica::{
        Message, Replica,
        service::{Action, Command, Item, Service},
    },
    seat::{Owner, Seat},
    sim::{behaviour::Mutate, property},
    time::Span,
    wire::{decode, encode},
};
use maftia_tss::{
    lock::LockManager,
    resource::ResourceSpec,
    resources::Account,
    statement::{Down, Statement, Up, Vote},
};
use serde::{Deserialize, Serialize};

use crate::{
    check, overrun,
    scene::{Bank, Ending, LEFT, Manager, Plan, RIGHT, Scene, TM},
};

/// A bank, but hasty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hasty(Bank);

/// Behind every PREPARE a COMMIT.
fn hurried(items: &[Item]) -> Vec<Item> {
    let more = |item: &Item| {
        let commit = match &item.command {
            Command::Statement { from, body } => match decode(body) {
                Ok(Statement::Down(tx, Down::Prepare)) => {
                    let body = encode(&Statement::Down(tx, Down::Commit));
                    Some(Command::Statement { from: *from, body })
                }
                _ => None,
            },
            _ => None,
        };
        let commit = commit.map(|command| Item { slot: item.slot, command });
        [Some(item.clone()), commit].into_iter().flatten()
    };
    items.iter().flat_map(more).collect()
}

impl Service for Hasty {
    const KIND: Kind = Kind("hasty");
    type Spec = ResourceSpec<Account>;
    type Helper = LockManager;

    fn new(seat: &Seat, spec: &Self::Spec) -> Self {
        Self(Bank::new(seat, spec))
    }

    fn helper(&self) -> Option<<LockManager as Protocol>::Spec> {
        self.0.helper()
    }

    fn plan(&mut self, items: &[Item]) -> Option<<LockManager as Protocol>::Input> {
        self.0.plan(&hurried(items))
    }

    fn apply(
        &mut self,
        items: Vec<Item>,
        answer: Option<<LockManager as Protocol>::Output>,
        actions: &mut Vec<Action>,
    ) {
        self.0.apply(hurried(&items), answer, actions);
    }

    fn tick(&self) -> Option<Span> {
        self.0.tick()
    }

    fn remember(&self) -> Option<<LockManager as Protocol>::Input> {
        self.0.remember()
    }

    fn remind(
        &self,
        remembered: Option<<LockManager as Protocol>::Output>,
    ) -> Option<<LockManager as Protocol>::Input> {
        self.0.remind(remembered)
    }
}

fn transfer(scene: &mut Scene) {
    let moves = vec![((LEFT, "a"), (RIGHT, "a"), 30)];
    scene.enter(Plan { deal: 0, party: 1, moves, ending: Ending::Agrees });
    scene.play();
}

/// Where only one replica of a bank is hasty, it is one more liar.
#[test]
fn a_replica_that_commits_before_it_is_told_changes_nothing() {
    property(3, |seed| {
        let liar = Scene::member(LEFT, 3);
        let mut scene = Scene::with::<Hasty>(seed, [4, 4, 4], |owner| owner == liar);
        scene.world.corrupt(liar, Mutate::<Replica<Hasty>>::new(|_, _| true));
        transfer(&mut scene);
        scene.end();
        scene.silence();
        scene.rest();
        check::replicas(&scene).unwrap();
    });
}

/// Where the whole bank is hasty, and the other one says no, what one of our checks compares is not
/// the same.
#[test]
fn a_bank_that_commits_before_it_is_told_is_caught() {
    property(3, |seed| {
        let left = |owner| matches!(owner, Owner::Party(LEFT, _));
        let mut scene = Scene::with::<Hasty>(seed, [4, 4, 4], left);
        overrun::<Bank>(&mut scene, RIGHT, |_, message| {
            if let Message::Statement(said) = message
                && let Ok(Statement::Up(tx, Up::Vote(Vote::Yes))) = decode(&said.body)
            {
                said.body = encode(&Statement::Up(tx, Up::Vote(Vote::No("no".into()))));
            }
        });
        transfer(&mut scene);
        scene.rest();
        let manager = check::agreed::<Manager>(&scene.world, TM).unwrap();
        let bank = check::agreed::<Hasty>(&scene.world, LEFT).unwrap();
        let found = check::same(&scene, scene.begun[0], manager, LEFT, &bank.0).unwrap_err();
        assert!(found.contains("Aborted") && found.contains("at g1 Some(Committed)"), "{found}");
    });
}
