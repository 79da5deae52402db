//! Single readers, event by event.

use super::*;

/// A reader from a slot on that takes 500.
fn reading(from: Slot) -> (Reader, Seat) {
    let seat = seats(Owner::Client(client(1)));
    let mut reader = Reader::new(&seat, reader::Spec::from(from));
    step(&mut reader, &seat, Event::Input(reader::Input::Pull { up_to: slot(500) }));
    (reader, seat)
}

/// Whether anything of this is said to whomever.
fn said(effects: &[Effect<Reader>], is: impl Fn(&Message) -> bool) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send { message, .. } if is(message)))
}

/// A reader that is sent more than it asked for keeps none of it.
#[test]
fn a_reader_takes_no_more_than_it_asked_for() {
    let seat = seats(Owner::Client(client(1)));
    let mut reader = Reader::new(&seat, reader::Spec::from(Slot::FIRST));
    let up_to = slot(10);
    step(&mut reader, &seat, Event::Input(reader::Input::Pull { up_to }));
    let from = reader.source().unwrap();
    let peer = Peer::Foreign(GroupId::new(0), from);
    let begin = Message::Begin { ticket: 1, slot: Slot::FIRST, certificate: None };
    step(&mut reader, &seat, Event::Message { from: peer, message: begin });
    let message =
        Message::Entries { ticket: 1, from: slot(0), entries: entries(0, 11), to: slot(11) };
    let effects = step(&mut reader, &seat, Event::Message { from: peer, message });
    assert!(matches!(&effects[0], Effect::Accuse { peer: who, .. } if *who == peer), "{effects:?}");
    assert!(reader.source() != Some(from) && reader.pending() == 0);
    let late = Message::Entries { ticket: 1, from: slot(0), entries: entries(0, 5), to: slot(5) };
    step(&mut reader, &seat, Event::Message { from: peer, message: late });
    assert_eq!(reader.pending(), 0, "it is not asked any more");
    let silent = reader.source().unwrap();
    step(&mut reader, &seat, Event::Timer(Timer::Retry));
    step(&mut reader, &seat, Event::Timer(Timer::Retry));
    assert_ne!(reader.source(), Some(silent), "one that says nothing is left");
}

/// A certificate of what the reader was sent otherwise: the sender is named, the entries are dropped.
#[test]
fn a_certificate_shows_who_sent_forgeries() {
    let (mut reader, seat) = reading(Slot::FIRST);
    let peer = Peer::Foreign(GroupId::new(0), reader.source().unwrap());
    let mut hear = |message| step(&mut reader, &seat, Event::Message { from: peer, message });
    hear(Message::Begin { ticket: 1, slot: Slot::FIRST, certificate: None });
    let right = entries(0, EVERY);
    let mut forged = right.clone();
    forged[5].payload = Bytes::from_static(b"forged");
    let (from, to) = (Slot::FIRST, slot(EVERY));
    hear(Message::Entries { ticket: 1, from, entries: forged.clone(), to });
    let named = hear(Message::Certified { certificate: certificate(EVERY, chain(&right)) });
    let (answered, agreed) = (chain(&forged), chain(&right));
    let fault = Fault::Outvoted { answered, agreed };
    assert_eq!(named[0], Effect::Accuse { peer, fault });
    assert!(!named.iter().any(|effect| matches!(effect, Effect::Output(_))));
    assert_eq!(reader.pending(), 0);
}

/// A reader asks again for what the link lost, and blames nobody; when nobody can be asked it waits.
#[test]
fn losses_are_nobodys_fault() {
    let (mut reader, seat) = reading(Slot::FIRST);
    let source = |reader: &Reader| Peer::Foreign(GroupId::new(0), reader.source().unwrap());
    let first = source(&reader);
    let again = step(&mut reader, &seat, Event::Missed { from: first });
    assert!(matches!(&again[0], Effect::Send { message: Message::Read { ticket: 2, .. }, .. }));
    let begin = Message::Begin { ticket: 2, slot: Slot::FIRST, certificate: None };
    step(&mut reader, &seat, Event::Message { from: first, message: begin });
    let (from, to) = (slot(3), slot(5));
    let gap = Message::Entries { ticket: 2, from, entries: entries(3, 2), to };
    let next = step(&mut reader, &seat, Event::Message { from: first, message: gap });
    assert!(matches!(&next[0], Effect::Send { message: Message::Read { ticket: 3, .. }, .. }));
    assert_ne!(source(&reader), first);
    let mut reads = 0;
    for ticket in 3..20 {
        let wrong = Message::Begin { ticket, slot: slot(7), certificate: None };
        let event = Event::Message { from: source(&reader), message: wrong };
        let effects = step(&mut reader, &seat, event);
        let is_read = |effect: &&Effect<Reader>| {
            matches!(effect, Effect::Send { message: Message::Read { .. }, .. })
        };
        reads += effects.iter().filter(is_read).count();
    }
    assert!(reads < 4, "it asks each once, and then waits for the alarm: {reads}");
}

/// What a liar adds to the end of a stream at rest is confirmed by nobody. The reader leaves it, and believes
/// what the next member sends.
#[test]
fn an_invented_end_stops_nothing() {
    let (mut reader, seat) = reading(Slot::FIRST);
    let hear = |reader: &mut Reader, party, message| {
        let from = Peer::Foreign(GroupId::new(0), party);
        step(reader, &seat, Event::Message { from, message })
    };
    let sends = |reader: &mut Reader, ticket, from, to| {
        let source = reader.source().unwrap();
        let begin = Message::Begin { ticket, slot: slot(from), certificate: None };
        hear(reader, source, begin);
        let (entries, from, to) = (entries(from, 5 - from), slot(from), slot(to));
        hear(reader, source, Message::Entries { ticket, from, entries, to })
    };
    let confirm = |reader: &mut Reader, at| {
        let tip = Message::Tip { slot: slot(at), chain: Some(chain(&entries(0, at))) };
        hear(reader, p(1), tip.clone());
        hear(reader, p(2), tip)
    };
    let asks = |effects: &[Effect<Reader>], at| {
        said(effects, |message| matches!(message, Message::Confirm { slot } if *slot == at))
    };
    let liar = reader.source();
    sends(&mut reader, 1, 0, 6);
    assert!(
        asks(&confirm(&mut reader, 1), slot(6)),
        "one entry is believed, and the invented end asked"
    );
    step(&mut reader, &seat, Event::Timer(Timer::Retry));
    let left = step(&mut reader, &seat, Event::Timer(Timer::Retry));
    assert!(reader.source() != liar && asks(&left, slot(2)), "the rest is forgotten: {left:?}");
    sends(&mut reader, 2, 1, 5);
    assert!(asks(&confirm(&mut reader, 2), slot(5)));
    let read = |effect: &Effect<Reader>| match effect {
        Effect::Output(reader::Output::Deliver { entries, .. }) => entries.len(),
        _ => 0,
    };
    assert_eq!(confirm(&mut reader, 5).iter().map(read).sum::<usize>(), 3);
}

/// Two of four say from where on they have entries, and the third sends what nobody else has any more. The reader
/// goes on behind, but not before the third was heard: it could have a certificate.
#[test]
fn one_that_begins_holds_nobody_up() {
    let (mut reader, seat) = reading(Slot::FIRST);
    let hear = |reader: &mut Reader, message| {
        let from = Peer::Foreign(GroupId::new(0), reader.source().unwrap());
        step(reader, &seat, Event::Message { from, message })
    };
    let lagged = |effects: &[Effect<Reader>]| {
        let to = |effect: &Effect<Reader>| match effect {
            Effect::Output(reader::Output::Lagged { from: Slot::FIRST, to }) => Some(*to),
            _ => None,
        };
        effects.iter().find_map(to)
    };
    let first = reader.source();
    for (ticket, at) in [(1, 2 * EVERY), (2, EVERY)] {
        let certificate = certificate(at, Digest::of("test", b"chain"));
        assert_eq!(lagged(&hear(&mut reader, Message::Gone { ticket, certificate })), None);
    }
    let second = PartyId::new((first.unwrap().number() + 1) % 4);
    let mut alarm = || step(&mut reader, &seat, Event::Timer(Timer::Retry));
    assert!((0..4).all(|_| lagged(&alarm()).is_none()), "it has not answered");
    hear(&mut reader, Message::Begin { ticket: 5, slot: Slot::FIRST, certificate: None });
    let (from, to) = (Slot::FIRST, slot(5));
    hear(&mut reader, Message::Entries { ticket: 5, from, entries: entries(0, 5), to });
    let mut alarm = || step(&mut reader, &seat, Event::Timer(Timer::Retry));
    assert_eq!(lagged(&alarm()), None, "it has just sent something");
    assert_eq!(
        lagged(&alarm()),
        Some(slot(EVERY)),
        "the lower of two places, of which one may be a liar's"
    );
    assert!(reader.source() == Some(second) && reader.pending() == 0);
}

/// A member may begin at any certified slot below what is wanted, also where others have let all go. That is no
/// loss to the reader, who goes on where they have entries.
#[test]
fn one_that_begins_too_low_makes_nobody_lag() {
    let (mut reader, seat) = reading(slot(100));
    let hear = |reader: &mut Reader, message| {
        let from = Peer::Foreign(GroupId::new(0), reader.source().unwrap());
        step(reader, &seat, Event::Message { from, message })
    };
    hear(&mut reader, Message::Begin { ticket: 1, slot: Slot::FIRST, certificate: None });
    for party in [1, 2] {
        let (from, message) =
            (Peer::Foreign(GroupId::new(0), p(party)), Message::Tip { slot: slot(1), chain: None });
        step(&mut reader, &seat, Event::Message { from, message });
    }
    for _ in 0..2 {
        step(&mut reader, &seat, Event::Timer(Timer::Retry));
    }
    let mut effects = Vec::new();
    for ticket in [2, 3] {
        let certificate = certificate(EVERY, Digest::of("test", b"chain"));
        effects = hear(&mut reader, Message::Gone { ticket, certificate });
    }
    let place = slot(EVERY);
    let reads = |message: &Message| match message {
        Message::Read { ticket, from, .. } => *ticket == 4 && *from == place,
        _ => false,
    };
    assert!(said(&effects, reads), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Output(_))), "{effects:?}");
}
