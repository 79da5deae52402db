//! A running member of a group, whatever its service.

use std::{sync::Arc, time::Duration};

use maftia_actors::{
    node::{Node, Stopped},
    party::State,
};
use maftia_core::replica::{Replica, service::Service};

use crate::{
    assembly::{Accounts, Manager},
    control::{self, Answer, Ask, Desk},
};

/// A running member of a group.
pub struct Member {
    node: Kind,
    desk: Arc<Desk>,
}

enum Kind {
    Manager(Node<Manager>),
    Accounts(Node<Accounts>),
}

impl Member {
    pub(crate) fn manager(node: Node<Manager>, desk: Arc<Desk>) -> Self {
        Self { node: Kind::Manager(node), desk }
    }

    pub(crate) fn accounts(node: Node<Accounts>, desk: Arc<Desk>) -> Self {
        Self { node: Kind::Accounts(node), desk }
    }

    /// What its party is doing.
    pub fn state(&self) -> State {
        match &self.node {
            Kind::Manager(node) => node.state(),
            Kind::Accounts(node) => node.state(),
        }
    }

    /// What its party is doing, as it changes.
    pub fn states(&self) -> tokio::sync::watch::Receiver<State> {
        match &self.node {
            Kind::Manager(node) => node.states(),
            Kind::Accounts(node) => node.states(),
        }
    }

    /// Asks it about itself.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, Stopped> {
        match &self.node {
            Kind::Manager(node) => asked(node, &self.desk, ask).await,
            Kind::Accounts(node) => asked(node, &self.desk, ask).await,
        }
    }

    /// Finishes what is under way, says good-bye, and stops. After `grace` it stops anyway.
    pub async fn leave(self, grace: Duration) {
        match self.node {
            Kind::Manager(node) => node.leave(grace).await,
            Kind::Accounts(node) => node.leave(grace).await,
        }
    }

    /// Ends at once, as a crash would.
    pub fn crash(self) {
        match self.node {
            Kind::Manager(node) => node.crash(),
            Kind::Accounts(node) => node.crash(),
        }
    }
}

async fn asked<S: Service>(
    node: &Node<Replica<S>>,
    desk: &Arc<Desk>,
    ask: Ask,
) -> Result<Answer, Stopped> {
    let desk = Arc::clone(desk);
    node.with_party(move |started| control::answer(&desk, started, ask)).await
}
