//! Members that communicate: a whole group in this process, or one of them behind its addresses.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use maftia_actors::{
    accusations::Seen,
    link::memory::Hub,
    log::Store,
    node::{Durability, Node, NodeError, Stopped},
};
use maftia_core::{
    agreement::Predicate,
    config::Config,
    crypto::{
        SecretKey,
        deal::{Deal, Keyring, self_made},
    },
    id::{ClientId, GroupId, PartyId},
    path::Role,
    seat::Seat,
};

use super::{
    Anything, Class, Outsider, Port, Terms,
    port::Registry,
    services::{Input, Refused, Services},
};
use crate::assembly::{Assembly, Reach};

/// Why an instance cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The root refuses.
    #[error("`{name}` cannot be opened: {why}")]
    Refused {
        /// The name.
        name: String,
        /// Why.
        why: Refused,
    },
    /// This process has a handle of it.
    #[error("`{0}` is open here")]
    InUse(String),
    /// The member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a group in this process cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are no groups of this size.
    #[error("a group has 4 to 64 members here, not {0}")]
    Size(u16),
    /// A member.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// There is no chance to be had for keys.
    #[error("no seed for the dealer: {0}")]
    Seed(#[from] std::io::Error),
}

/// One member of a group, which opens instances by name. `Q` is what its agreements may decide.
pub struct Member<Q: Predicate<Proof = Bytes> = Anything> {
    seat: Seat,
    node: Arc<Node<Services<Q>>>,
    registry: Arc<Registry>,
    /// The outsiders whom the configuration names, and whether others are served.
    outsiders: (BTreeSet<ClientId>, bool),
}

impl<Q: Predicate<Proof = Bytes>> Member<Q> {
    /// Starts the party of this key ring: over TCP, if the assembly [reaches](Reach) others so. It
    /// communicates instead of running the service that the configuration names for its group; all
    /// members of the group must.
    pub async fn start(
        assembly: &Assembly,
        ring: &Keyring,
        durability: Durability,
    ) -> Result<Self, NodeError> {
        let registry = Arc::new(Registry::default());
        let outputs = Arc::clone(&registry);
        let outputs = Box::new(move |output| outputs.take(output));
        let (node, seat) = assembly.services(ring, durability, outputs).await?;
        let named = assembly.public().clients().map(|(_, client)| client).collect();
        let outsiders = (named, assembly.config().clients().open);
        Ok(Self { seat, node: Arc::new(node), registry, outsiders })
    }

    /// Which member this is.
    pub fn party(&self) -> PartyId {
        self.seat.me()
    }

    /// Opens an instance whose class needs no terms.
    pub async fn open<C: Class<Q>>(&self, name: &str) -> Result<C, OpenError>
    where
        C::Terms: Default,
    {
        self.open_with(name, C::Terms::default()).await
    }

    /// Opens an instance on these terms, which must be the same at every member.
    pub async fn open_with<C: Class<Q>>(
        &self,
        name: &str,
        terms: C::Terms,
    ) -> Result<C, OpenError> {
        for number in self.registry.dropped() {
            self.node.ask(Input::Release { number }).await?;
        }
        let (ticket, opened) = self.registry.ticket();
        let (named, others) = &self.outsiders;
        let (class, spec) = (C::NAME.into(), C::spec(&terms).serving(named, *others));
        self.node.ask(Input::Open { ticket, class, name: name.into(), spec }).await?;
        let opened = opened.await.map_err(|_| Stopped)?;
        let (number, inbox) = opened.map_err(|why| match why {
            Some(why) => OpenError::Refused { name: name.to_owned(), why },
            None => OpenError::InUse(name.to_owned()),
        })?;
        let port = Port::new(&self.node, &self.registry, number, inbox);
        let seat = self.seat.child(Role::Named.at(number));
        Ok(C::over(port, Terms { seat, terms }))
    }

    /// What this member holds against others.
    pub async fn accusations(&self) -> Result<Vec<Seen>, Stopped> {
        self.node.with_party(|started| started.party.accusations()).await
    }

    /// Finishes what is under way, says good-bye, and stops. After `grace` it stops anyway.
    pub async fn leave(self, grace: Duration) {
        // A handle that is just asking something holds the node for a moment: then it ends with that.
        if let Some(node) = Arc::into_inner(self.node) {
            node.leave(grace).await;
        }
        self.registry.close();
    }

    /// Ends at once, as a crash would: nothing is finished, nobody is told.
    pub fn crash(self) {
        if let Some(node) = Arc::into_inner(self.node) {
            node.crash();
        }
        self.registry.close();
    }
}

/// All members of a group in this process.
pub struct Group<Q: Predicate<Proof = Bytes> = Anything> {
    assembly: Assembly,
    members: Vec<Member<Q>>,
}

impl<Q: Predicate<Proof = Bytes>> Group<Q> {
    /// Deals keys for `n` members, as many of whom may lie as can be tolerated, and starts them. Needs a
    /// running actix system ([`crate::run`]).
    pub async fn embedded(n: u16) -> Result<Self, StartError> {
        let config = config(n).ok_or(StartError::Size(n))?;
        let deal = Deal::new(&config, &crate::seed()?);
        let assembly = Assembly::new(config, Arc::clone(deal.public()), Reach::Memory(Hub::new()));
        let mut members = Vec::new();
        for party in PartyId::all(n) {
            let ring = deal.party(GroupId::new(0), party).expect("the deal is the configuration's");
            let durability = Durability::Memory(Store::default());
            members.push(Member::start(&assembly, &ring, durability).await?);
        }
        Ok(Self { assembly, members })
    }

    /// One who is not in the group, with a key of its own that no dealer made.
    pub fn outsider(&self) -> Result<Outsider, StartError> {
        let secret = SecretKey::from_seed(&crate::seed()?);
        let (config, public) = (self.assembly.config(), self.assembly.public());
        let ring = Keyring::parse(config, Arc::clone(public), &self_made("outsider", &secret));
        let ring = ring.expect("the group is open to such keys");
        Ok(Outsider::new(&self.assembly, ring, GroupId::new(0)))
    }

    /// A member.
    ///
    /// # Panics
    /// When there is none with this number.
    pub fn member(&self, number: usize) -> &Member<Q> {
        &self.members[number]
    }

    /// The members, in order.
    pub fn members(&self) -> &[Member<Q>] {
        &self.members
    }

    /// Opens an instance at every member, in order.
    pub async fn open<C: Class<Q>>(&self, name: &str) -> Result<Vec<C>, OpenError>
    where
        C::Terms: Clone + Default,
    {
        self.open_with(name, C::Terms::default()).await
    }

    /// Opens an instance at every member on the same terms, in order.
    pub async fn open_with<C: Class<Q>>(
        &self,
        name: &str,
        terms: C::Terms,
    ) -> Result<Vec<C>, OpenError>
    where
        C::Terms: Clone,
    {
        let mut all = Vec::new();
        for member in &self.members {
            all.push(member.open_with(name, terms.clone()).await?);
        }
        Ok(all)
    }

    /// The members, each by itself.
    pub fn into_members(self) -> Vec<Member<Q>> {
        self.members
    }
}

/// The configuration of a group in this process. Nobody listens at its addresses, and no service runs.
fn config(n: u16) -> Option<Config> {
    let members: Vec<_> = (1..=n).map(|port| format!("\"localhost:{port}\"")).collect();
    let (f, members) = (n.checked_sub(1)? / 3, members.join(", "));
    let text = format!(
        "[clients]\nopen = true\n[[group]]\nname = \"cs\"\nservice = \"transactions\"\nfaults = {f}\nmembers = [{members}]\n"
    );
    (4..=64).contains(&n).then(|| Config::parse(&text).ok()).flatten()
}
