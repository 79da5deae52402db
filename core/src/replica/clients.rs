//! The clients' sessions: what took effect, what waits, what was answered. Replicated state.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    message::{Asked, Request},
    number::Number,
    service::{Command, Item},
};
use crate::id::{ClientId, Slot};

/// How many commands of one strand may be outstanding. Answers of so many are kept.
pub(super) const WINDOW: u32 = 16;

/// The most bytes of answers that are kept for one client. Beyond it the older ones of the strand go,
/// and then the new one is not kept: links do not lose, so it is asked for again only by a client whose
/// replicas lost their memory.
pub(super) const REPLIES_BYTES_MAX: usize = 4 << 20;

/// The most sessions of clients that the configuration does not name. The longest idle one goes.
pub(super) const OPEN_MAX: usize = if cfg!(test) { 64 } else { 1_024 };

/// The most bytes of commands of one client that wait for an earlier one. What does not fit has no
/// effect now; the client says it again.
pub(super) const WAITING_BYTES_MAX: usize = 2 << 20;

/// What a number is to a client's session.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// It may take effect, now or after those before it.
    Open,
    /// It took effect, and this is the answer, if there is one yet.
    Done(Option<Bytes>),
    /// It waits in the state for its predecessor.
    Waiting,
    /// It is too far ahead.
    Ahead,
    /// A later session was opened, or its answer is no longer kept.
    Superseded,
    /// Its session is not held, and its era is over: what became of it is not known any more.
    Forgotten,
    /// The client is not served.
    Stranger,
}

/// One client's session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    /// Era and session.
    session: (u64, u32),
    strands: BTreeMap<u16, Strand>,
    /// Bytes of commands that wait.
    waiting: usize,
    /// Bytes of answers that are kept.
    replies: usize,
    active: Slot,
}

/// One strand of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Strand {
    /// All counts up to here took effect.
    done: u32,
    waiting: BTreeMap<u32, Bytes>,
    replies: Replies,
}

/// Answers by their counts. Most come in order, and the oldest go first, so a queue is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Replies(VecDeque<(u32, Bytes)>);

impl Replies {
    fn find(&self, count: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&count, |(of, _)| *of)
    }

    fn get(&self, count: u32) -> Option<&Bytes> {
        self.find(count).ok().map(|place| &self.0[place].1)
    }

    fn insert(&mut self, count: u32, body: Bytes) {
        match self.find(count) {
            Ok(place) => self.0[place].1 = body,
            Err(place) => self.0.insert(place, (count, body)),
        }
    }
}

impl Strand {
    fn standing(&self, count: u32) -> Standing {
        if count > self.done {
            let waits = self.waiting.contains_key(&count);
            return if waits { Standing::Waiting } else { ahead_of(self.done, count) };
        }
        match self.replies.get(count) {
            Some(reply) => Standing::Done(Some(reply.clone())),
            None if count + WINDOW > self.done => Standing::Done(None),
            None => Standing::Superseded,
        }
    }

    /// Forgets the answers up to this count. Their bytes.
    fn forget(&mut self, count: u32) -> usize {
        let mut freed = 0;
        while let Some((_, reply)) = self.replies.0.pop_front_if(|(of, _)| *of <= count) {
            freed += reply.len();
        }
        freed
    }
}

/// All sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Clients {
    registered: BTreeSet<ClientId>,
    open: bool,
    table: BTreeMap<ClientId, Account>,
    /// The era in which sessions of clients that the configuration does not name are opened. It is
    /// later than that of every such session that went, so none of those is opened a second time.
    era: u64,
}

impl Clients {
    pub(super) fn new(registered: BTreeSet<ClientId>, open: bool) -> Self {
        Self { registered, open, table: BTreeMap::new(), era: 0 }
    }

    /// Whether the configuration names this client.
    pub(super) fn names(&self, client: ClientId) -> bool {
        self.registered.contains(&client)
    }

    /// What a request with this number would be.
    pub(super) fn standing(&self, client: ClientId, number: Number) -> Standing {
        let (named, count) = (self.names(client), number.count());
        let (era, account) = (number.era().cmp(&self.era), self.table.get(&client));
        let Some(account) = account else {
            return match era {
                _ if !self.open && !named => Standing::Stranger,
                Ordering::Less if !named => Standing::Forgotten,
                Ordering::Greater if !named => Standing::Ahead,
                _ => ahead_of(0, count),
            };
        };
        match number.head().cmp(&account.session) {
            // It is no earlier session, but one that was to be opened in an era that is over.
            Ordering::Less if !named && number.session() > account.session.1 => Standing::Forgotten,
            Ordering::Less => Standing::Superseded,
            // Nobody has opened a session there, so nobody could end the era when this one goes.
            Ordering::Greater if era.is_gt() && !named => Standing::Ahead,
            Ordering::Greater => ahead_of(0, count),
            Ordering::Equal => match account.strands.get(&number.strand()) {
                Some(strand) => strand.standing(count),
                None => ahead_of(0, count),
            },
        }
    }

    /// The era in which sessions of clients that the configuration does not name are opened.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// Whether any command of a request may take effect.
    pub(super) fn is_open(&self, request: &Request) -> bool {
        let open = |asked: &Asked| self.standing(request.client, asked.number) == Standing::Open;
        request.commands.iter().any(open)
    }

    /// A vouched request: what takes effect by it. False when there is no room for one of its commands.
    pub(super) fn enter(&mut self, slot: Slot, request: &Request, out: &mut Vec<Item>) -> bool {
        let mut room = true;
        for Asked { number, body } in &request.commands {
            room &= self.take(slot, request.client, *number, body.clone(), out);
        }
        room
    }

    /// A vouched command: what takes effect by it, in the client's order. False when there is no
    /// room for it to wait for its predecessor.
    fn take(
        &mut self,
        slot: Slot,
        client: ClientId,
        number: Number,
        body: Bytes,
        out: &mut Vec<Item>,
    ) -> bool {
        if self.standing(client, number) != Standing::Open {
            return true;
        }
        self.make_room(client);
        let account = self.table.entry(client).or_default();
        if number.head() > account.session {
            *account = Account { session: number.head(), ..Account::default() };
        }
        account.active = slot;
        let strand = account.strands.entry(number.strand()).or_default();
        if number.count() > strand.done + 1 {
            let room = account.waiting + body.len() <= WAITING_BYTES_MAX;
            if room {
                account.waiting += body.len();
                strand.waiting.insert(number.count(), body);
            }
            return room;
        }
        let mut next = Some(body);
        while let Some(body) = next {
            strand.done += 1;
            let number = number.at(strand.done);
            out.push(Item { slot, command: Command::Request { client, number, body } });
            next = strand.waiting.remove(&(strand.done + 1));
            account.waiting -= next.as_ref().map_or(0, Bytes::len);
        }
        account.replies -= strand.forget(strand.done.saturating_sub(WINDOW));
        true
    }

    /// Keeps the answer to a request. Whether its client still asks, and this is the first answer.
    pub(super) fn answer(&mut self, client: ClientId, number: Number, body: &Bytes) -> bool {
        let Some(account) = self.table.get_mut(&client) else { return false };
        let Some(strand) = account.strands.get_mut(&number.strand()) else { return false };
        let count = number.count();
        let asked = number.head() == account.session && (1..=strand.done).contains(&count);
        if !asked || strand.replies.get(count).is_some() {
            return false;
        }
        if count + WINDOW > strand.done {
            if account.replies + body.len() > REPLIES_BYTES_MAX {
                account.replies -= strand.forget(count.saturating_sub(1));
            }
            if account.replies + body.len() <= REPLIES_BYTES_MAX {
                account.replies += body.len();
                strand.replies.insert(count, body.clone());
            }
        }
        true
    }

    /// How many clients are in the table.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Lets the longest idle session of an unregistered client go if a new one needs its place, and
    /// ends its era if that goes on: the session is not held from now on, so nothing else tells apart
    /// which of its commands took effect.
    fn make_room(&mut self, client: ClientId) {
        if self.table.contains_key(&client) || self.registered.contains(&client) {
            return;
        }
        let open = || self.table.iter().filter(|(client, _)| !self.registered.contains(client));
        if open().count() < OPEN_MAX {
            return;
        }
        let idle = open().min_by_key(|(client, account)| (account.active, **client));
        let Some((gone, era)) = idle.map(|(client, account)| (*client, account.session.0)) else {
            return;
        };
        self.table.remove(&gone);
        self.era = self.era.max(era + 1);
    }
}

fn ahead_of(done: u32, count: u32) -> Standing {
    let next = count > done && count - done <= WINDOW;
    if next { Standing::Open } else { Standing::Ahead }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Digest;

    fn client(number: usize) -> ClientId {
        ClientId::of_key(&Digest::of("client", &number.to_le_bytes()))
    }

    /// Takes an empty request; how many took effect by it.
    fn enter(clients: &mut Clients, slot: u64, who: usize, number: Number) -> usize {
        let mut items = Vec::new();
        clients.take(Slot::new(slot), client(who), number, Bytes::new(), &mut items);
        items.len()
    }

    /// The same, in a session of the present era.
    fn take(clients: &mut Clients, slot: u64, who: usize, session: u32, count: u32) -> usize {
        let number = Number::new(session, count).of_era(clients.era());
        enter(clients, slot, who, number)
    }

    #[test]
    fn a_later_request_waits_for_its_predecessor_within_the_window() {
        let mut clients = Clients::new(BTreeSet::new(), true);
        assert_eq!(take(&mut clients, 0, 1, 1, 3), 0);
        assert_eq!(take(&mut clients, 0, 1, 1, 2), 0);
        assert_eq!(clients.standing(client(1), Number::new(1, 3)), Standing::Waiting);
        assert_eq!(clients.standing(client(1), Number::new(1, WINDOW + 1)), Standing::Ahead);
        assert_eq!(take(&mut clients, 0, 1, 1, 1), 3);
        assert_eq!(take(&mut clients, 0, 1, 1, 2), 0, "once");
        let number = Number::new(1, 2);
        assert!(clients.answer(client(1), number, &Bytes::from_static(b"x")));
        assert!(!clients.answer(client(1), number, &Bytes::from_static(b"y")), "answered once");
        let kept = Standing::Done(Some(Bytes::from_static(b"x")));
        assert_eq!(clients.standing(client(1), number), kept);
        for count in 4..=WINDOW + 2 {
            assert_eq!(take(&mut clients, 0, 1, 1, count), 1);
        }
        assert_eq!(clients.standing(client(1), number), Standing::Superseded);
    }

    #[test]
    fn idle_strangers_go_first_and_their_old_requests_stay_dead() {
        let mut clients = Clients::new([client(0)].into(), true);
        assert_eq!(take(&mut clients, 0, 0, 1, 1), 1);
        for who in 1..=OPEN_MAX + 5 {
            assert_eq!(take(&mut clients, who as u64, who, 1, 1), 1);
        }
        assert_eq!(clients.len(), OPEN_MAX + 1);
        let old = clients.standing(client(1), Number::new(1, 1));
        assert_eq!(old, Standing::Forgotten);
        let later = clients.standing(client(1), Number::new(2, 1));
        assert_eq!(later, Standing::Forgotten, "nobody knows that it is later");
        assert_eq!(take(&mut clients, 9_999, 1, 1, 1), 1, "in a later era it begins anew");
        let kept = clients.standing(client(0), Number::new(1, 1));
        assert_eq!(kept, Standing::Done(None), "the configuration names it");
    }

    #[test]
    fn what_took_effect_never_does_so_again_however_many_came_since() {
        let mut clients = Clients::new(BTreeSet::new(), true);
        let mut said = Vec::new();
        for who in 0..10 * OPEN_MAX {
            let number = Number::new(1, 1).of_era(clients.era());
            assert_eq!(enter(&mut clients, who as u64, who, number), 1);
            said.push((who, number));
        }
        for (who, number) in said {
            assert_eq!(enter(&mut clients, 99_999, who, number), 0, "{who}");
        }
        assert_eq!(clients.len(), OPEN_MAX, "nothing else is remembered");
    }

    #[test]
    fn a_session_that_is_held_goes_on_through_all_eras() {
        let mut clients = Clients::new(BTreeSet::new(), true);
        for slot in 0..10 * OPEN_MAX {
            take(&mut clients, slot as u64, slot + 1, 1, 1);
            let own = Number::new(1, slot as u32 + 1);
            assert_eq!(enter(&mut clients, slot as u64, 0, own), 1);
        }
        assert!(clients.era() > 5, "the others came and went");
        assert_eq!(
            enter(&mut clients, 9_999, 0, Number::new(2, 1)),
            1,
            "and is followed by another"
        );
    }

    /// A guest that comes again while its old session is held may be told an era that is over, by members
    /// that are behind: it is to ask again, and no later session of it has ended this one.
    #[test]
    fn a_later_session_of_an_era_that_is_over_is_forgotten_and_an_earlier_one_superseded() {
        let mut clients = Clients::new(BTreeSet::new(), true);
        for who in 1..5 * OPEN_MAX {
            take(&mut clients, who as u64, who, 1, 1);
        }
        let now = clients.era();
        assert!(now > 1);
        assert_eq!(take(&mut clients, 9_999, 0, 5, 1), 1);
        let standing =
            |era, session| clients.standing(client(0), Number::new(session, 1).of_era(era));
        assert_eq!(standing(now - 1, 6), Standing::Forgotten);
        assert_eq!(standing(now - 1, 4), Standing::Superseded);
        assert_eq!(standing(now, 4), Standing::Superseded);
        assert_eq!(standing(now, 6), Standing::Open);
    }

    #[test]
    fn nobody_opens_a_session_in_an_era_to_come() {
        let mut clients = Clients::new(BTreeSet::new(), true);
        let far = Number::new(1, 1).of_era(u64::MAX);
        assert_eq!(enter(&mut clients, 0, 1, far), 0);
        assert_eq!(take(&mut clients, 0, 1, 1, 1), 1);
        assert_eq!(
            clients.standing(client(1), far),
            Standing::Ahead,
            "nor follows one that is held"
        );
        assert_eq!(enter(&mut clients, 0, 1, far), 0);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let mut clients = Clients::new(BTreeSet::new(), true);
        let (mut items, body) = (Vec::new(), Bytes::from(vec![0; 1 << 20]));
        let mut say = |count| {
            let number = Number::new(1, count);
            clients.take(Slot::new(0), client(1), number, body.clone(), &mut items)
        };
        assert!(say(2) && say(3));
        assert!(!say(4), "there is no room to wait");
        assert!(say(1) && say(4), "what need not wait needs no room");
        assert_eq!(items.len(), 4);
    }
}
