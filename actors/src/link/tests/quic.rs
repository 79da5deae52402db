//! Links over QUIC: who gets in, and what nobody can make them lose.

mod bounds;
mod way;

use std::{collections::BTreeMap, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use maftia_core::{
    crypto::{Identity, P256Identity, PublicKey, SecretKey},
    effects::Lane,
    seat::Owner,
};
use tokio::task::spawn_local;

use super::{Inbox, body, client, orders, p, passport as toys, run, tcp::any, until};
use crate::link::{
    Bound, End, Links, Passport, guests,
    handshake::Dialing,
    packet::{HANDSHAKE_MAX, Packet},
    quic::Quic,
    wire::{Reader, Transport, Writer},
};

/// The key that an owner was dealt, which is its place in the list of all.
fn secret(place: u8) -> SecretKey {
    SecretKey::from_seed(&[place; 32])
}

/// The keys of four parties and client 0.
fn dealt() -> BTreeMap<Owner, PublicKey> {
    let owners = (0..4).map(p).chain([client(0)]);
    owners.zip(0..).map(|(owner, place)| (owner, secret(place).public())).collect()
}

/// An owner who has this key, whoever it was dealt to.
fn with_key(who: Owner, place: u8) -> (Passport, Arc<P256Identity>) {
    let identity = Arc::new(P256Identity::new(who, secret(place), Arc::new(dealt()), false));
    let signer: Arc<dyn Identity> = Arc::<P256Identity>::clone(&identity);
    (Passport { identity: signer, ..toys(who) }, identity)
}

/// An owner with its own key.
fn owner(who: Owner) -> (Passport, Arc<P256Identity>) {
    let place = dealt().keys().position(|owner| *owner == who).unwrap();
    with_key(who, place as u8)
}

/// A transport of an owner, and where it listens.
fn bind(
    (passport, identity): &(Passport, Arc<P256Identity>),
    listens: bool,
    to: &[(Owner, SocketAddr)],
) -> (Quic, SocketAddr) {
    let addresses: BTreeMap<_, _> = to.iter().map(|(to, at)| (*to, at.to_string())).collect();
    let listen = listens.then(any);
    let quic = Quic::bind(listen, addresses, Arc::clone(identity), passport).unwrap();
    let address = quic.address().unwrap_or(any());
    (quic, address)
}

/// Opens the links of an owner; gives its address too.
fn open(who: Owner, listens: bool, to: &[(Owner, SocketAddr)]) -> (Links, Rc<Inbox>, SocketAddr) {
    let person = owner(who);
    let (quic, address) = bind(&person, listens, to);
    let links = Links::new(person.0);
    let inbox = Inbox::new(&links);
    links.open(Bound::Quic(quic), Rc::<Inbox>::clone(&inbox));
    (links, inbox, address)
}

#[test]
fn frames_of_all_sizes_reach_everybody() {
    run(async {
        let (two, at_two, two_address) = open(p(2), true, &[]);
        let (one, at_one, one_address) = open(p(1), true, &[(p(2), two_address)]);
        let everybody = [(p(1), one_address), (p(2), two_address)];
        let (user, at_user, _) = open(client(0), false, &everybody);
        for number in 0..200_u64 {
            let mut bytes = number.to_le_bytes().to_vec();
            bytes.resize(8 + (number * number) as usize, 1);
            let bytes = Bytes::from(bytes);
            user.send_many(&[p(1), p(2)], Lane::Bulk, &orders(), bytes.clone()).unwrap();
            one.send_many(&[p(2), client(0)], Lane::Control, &orders(), bytes.clone()).unwrap();
            two.send_many(&[p(1), client(0)], Lane::Bulk, &orders(), bytes).unwrap();
            tokio::task::yield_now().await;
        }
        let all: Vec<_> = (0..200).collect();
        for (inbox, from, lane) in [
            (&at_one, client(0), Lane::Bulk),
            (&at_two, client(0), Lane::Bulk),
            (&at_two, p(1), Lane::Control),
            (&at_user, p(1), Lane::Control),
            (&at_one, p(2), Lane::Bulk),
            (&at_user, p(2), Lane::Bulk),
        ] {
            until("all came", || inbox.heard(from, lane).len() == 200).await;
            assert_eq!(inbox.heard(from, lane), all);
        }
        let idle = || one.status().iter().all(|status| status.waiting_frames == 0);
        until("everything is acknowledged", idle).await;
    });
}

#[test]
fn who_leaves_says_good_bye_and_comes_back() {
    run(async {
        let (listener, inbox, address) = open(p(1), true, &[]);
        let (dialer, _, _) = open(p(0), false, &[(p(1), address)]);
        dialer.send(p(1), Lane::Bulk, &orders(), body(1)).unwrap();
        until("a line stands", || inbox.heard(p(0), Lane::Bulk) == [1]).await;
        dialer.leave(Duration::from_secs(5)).await;
        until("it left", || inbox.ends.borrow().len() == 1).await;
        assert_eq!(*inbox.ends.borrow(), ["the peer left"]);
        listener.send(p(0), Lane::Bulk, &orders(), body(2)).unwrap();
        let (_again, heard, _) = open(p(0), false, &[(p(1), address)]);
        until("it is served", || heard.heard(p(1), Lane::Bulk) == [2]).await;
    });
}

#[test]
fn two_processes_with_one_key_do_not_take_turns() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]);
        let (first, at_first, _) = open(client(0), false, &[(p(1), address)]);
        first.send(p(1), Lane::Bulk, &orders(), body(1)).unwrap();
        until("the first one is there", || inbox.heard(client(0), Lane::Bulk) == [1]).await;
        let (_second, _, _) = open(client(0), false, &[(p(1), address)]);
        until("the first one is told", || at_first.ends.borrow().len() == 1).await;
        let end = at_first.ends.borrow()[0].clone();
        assert!(end.contains("another process with the same key"), "{end}");
    });
}

/// What both sides make of a call.
async fn call(
    dialer: &(Passport, Arc<P256Identity>),
    to: Owner,
    listener: &(Passport, Arc<P256Identity>),
) -> (Result<(), End>, Result<Option<Owner>, End>) {
    let (hears, address) = bind(listener, true, &[]);
    let (calls, _) = bind(dialer, false, &[(to, address)]);
    let hello = Dialing::start(&dialer.0, to).1;
    let calling = async {
        let (mut reader, mut writer) = calls.dial(to).await?;
        writer.write(&mut vec![Packet::handshake(hello)]).await?;
        // The listener says nothing in this test: a line that stands is one that stays silent.
        match tokio::time::timeout(Duration::from_millis(500), reader.read(HANDSHAKE_MAX)).await {
            Ok(read) => read.map(drop),
            Err(_) => Ok(()),
        }
    };
    let hearing = async {
        let (caller, _) = hears.accept().await?;
        let mut ends = hears.answer(caller).await?;
        ends.reader.read(HANDSHAKE_MAX).await?;
        tokio::time::sleep(Duration::from_millis(600)).await;
        Ok(ends.who)
    };
    tokio::join!(calling, hearing)
}

#[test]
fn each_side_finds_out_who_the_other_is() {
    run(async {
        let (called, heard) = call(&owner(p(0)), p(1), &owner(p(1))).await;
        called.unwrap();
        assert_eq!(heard.unwrap(), Some(p(0)));
    });
}

#[test]
fn a_listener_with_another_key_is_not_spoken_to_and_named() {
    run(async {
        let (called, heard) = call(&owner(p(0)), p(1), &owner(p(2))).await;
        let (called, heard) = (called.unwrap_err(), heard.unwrap_err());
        assert!(called.is_wrong() && heard.is_wrong());
        let shown = called.to_string();
        assert!(shown.contains("showed a key, ") && shown.contains(" that is not the one of "));
        assert!(shown.ends_with(&crate::link::name(p(1)).to_string()), "{shown}");
        assert!(heard.to_string().contains("does not accept this side's key"), "{heard}");
    });
}

#[test]
fn a_dialer_with_a_key_of_nobody_is_refused_and_told() {
    run(async {
        let (called, heard) = call(&with_key(p(0), 77), p(1), &owner(p(1))).await;
        let (called, heard) = (called.unwrap_err(), heard.unwrap_err());
        assert!(called.is_wrong() && heard.is_wrong());
        assert!(heard.to_string().contains("that is nobody's in the configuration"), "{heard}");
        assert!(called.to_string().contains("does not accept this side's key"), "{called}");
    });
}

#[test]
fn a_name_without_its_key_is_refused_before_any_proof() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]);
        let borrowed = with_key(p(0), 3);
        let (calls, _) = bind(&borrowed, false, &[(p(1), address)]);
        let (mut reader, mut writer) = calls.dial(p(1)).await.unwrap();
        let (dialing, hello) = Dialing::start(&borrowed.0, p(1));
        writer.write(&mut vec![Packet::handshake(hello)]).await.unwrap();
        let answer = reader.read(HANDSHAKE_MAX).await.unwrap().body;
        let refused = dialing.answered(&borrowed.0, &answer).err().unwrap();
        assert!(refused.to_string().contains("did not prove to be who it says"), "{refused}");
        assert!(inbox.ends.borrow().is_empty(), "no line ever stood");
    });
}

#[test]
fn guests_bring_their_own_key_where_they_may() {
    run(async {
        let key = secret(99);
        let guest = Owner::Client(key.public().client());
        let mut person = with_key(guest, 99);
        person.0.key = Some(key.public().to_bytes().to_vec().into());
        for open in [true, false] {
            let mut host = owner(p(1));
            host.0.guests = open.then(guests);
            let (quic, address) = bind(&host, true, &[]);
            let links = Links::new(host.0);
            let inbox = Inbox::new(&links);
            links.open(Bound::Quic(quic), Rc::<Inbox>::clone(&inbox));
            let (calls, _) = bind(&person, false, &[(p(1), address)]);
            let visitor = Links::new(person.0.clone());
            let at_visitor = Inbox::new(&visitor);
            visitor.open(Bound::Quic(calls), Rc::<Inbox>::clone(&at_visitor));
            visitor.send(p(1), Lane::Bulk, &orders(), body(5)).unwrap();
            if open {
                until("it came", || inbox.heard(guest, Lane::Bulk) == [5]).await;
            } else {
                tokio::time::sleep(Duration::from_millis(300)).await;
                assert!(links.status().is_empty());
            }
        }
    });
}
