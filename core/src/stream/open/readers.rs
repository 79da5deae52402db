//! The readers of a member: what each was sent, and what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, Slot};

/// The most readers that the configuration does not name. The one that was quiet for longest goes, and
/// comes again if it still wants something.
pub const READERS_MAX: usize = 1_024;

/// One reader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) feed: Option<Feed>,
    /// The slot at which it wants to know the chain.
    pub(super) confirm: Option<Slot>,
    /// The slot at which it wants the chain signed.
    pub(super) sign: Option<Slot>,
    /// When it last said something, in messages of all readers.
    active: u64,
}

/// What a reader is being sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Feed {
    pub(super) ticket: u64,
    /// The slot that comes next.
    pub(super) next: Slot,
    /// The weight of all entries that take no room at the reader any more.
    pub(super) dealt: u64,
    /// The reader's credit.
    pub(super) up_to: Slot,
    /// The highest certificate that it was sent.
    pub(super) proven: Slot,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Readers {
    accounts: BTreeMap<ClientId, Account>,
    heard: u64,
}

impl Readers {
    /// The account of a reader that says something; and who had to go for it.
    pub(super) fn enter(
        &mut self,
        client: ClientId,
        registered: &BTreeSet<ClientId>,
    ) -> (&mut Account, Option<ClientId>) {
        let stranger = |client: &ClientId| !registered.contains(client);
        let fresh = !self.accounts.contains_key(&client) && stranger(&client);
        let strangers = || self.accounts.iter().filter(|(client, _)| stranger(client));
        let full = fresh && strangers().count() >= READERS_MAX;
        let quiet = strangers().min_by_key(|(_, account)| account.active);
        let gone = quiet.map(|(client, _)| *client).filter(|_| full);
        if let Some(gone) = gone {
            self.accounts.remove(&gone);
        }
        self.heard += 1;
        let account = self.accounts.entry(client).or_default();
        account.active = self.heard;
        (account, gone)
    }

    pub(super) fn get(&mut self, client: ClientId) -> Option<&mut Account> {
        self.accounts.get_mut(&client)
    }

    pub(super) fn ids(&self) -> Vec<ClientId> {
        self.accounts.keys().copied().collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Digest;

    fn client(number: usize) -> ClientId {
        ClientId::of_key(&Digest::of("client", &number.to_le_bytes()))
    }

    #[test]
    fn the_quietest_stranger_goes_and_no_acquaintance() {
        let (mut readers, known) = (Readers::default(), [client(0)].into());
        for number in 0..=READERS_MAX {
            assert_eq!(readers.enter(client(number), &known).1, None);
        }
        readers.enter(client(1), &known);
        assert_eq!(readers.enter(client(9_999), &known).1, Some(client(2)));
        assert_eq!(readers.len(), READERS_MAX + 1);
        assert!(readers.get(client(0)).is_some() && readers.get(client(2)).is_none());
    }
}
