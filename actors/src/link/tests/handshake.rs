//! Who gets a line, and who does not.

use std::sync::Arc;

use bytes::Bytes;
use maftia_core::{
    crypto::{Digest, P256Identity, SecretKey},
    effects::Lane,
    seat::Owner,
};

use super::{Passport, Toy, client, p, passport};
use crate::link::{
    End, Parcel, Refusal, guests,
    handshake::{Dialing, Keys, Listening},
    packet::{Kind, Seals},
};

/// A handshake whose messages pass through `wire`, which gets the place of each.
fn shake(
    dialer: &Passport,
    listener: &Passport,
    to: Owner,
    mut wire: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
) -> Result<(Keys, Keys, Owner), End> {
    let (dialing, hello) = Dialing::start(dialer, to);
    let (listening, answer) = Listening::start(listener, &wire(0, hello.to_vec()))?;
    let (proving, proof) = dialing.answered(dialer, &wire(1, answer.to_vec()))?;
    let (from, far, proof) = listening.proved(listener, &wire(2, proof.to_vec()))?;
    Ok((proving.proved(dialer, &wire(3, proof.to_vec()))?, far, from))
}

fn honest(dialer: Owner, listener: Owner) -> (Keys, Keys) {
    let ends = shake(&passport(dialer), &passport(listener), listener, |_, bytes| bytes);
    let (near, far, from) = ends.unwrap();
    assert_eq!(from, dialer);
    (near, far)
}

/// Whether a frame sealed by one end is taken by the other.
fn opens(outgoing: &mut Seals, incoming: &mut Seals) -> bool {
    let parcel = Parcel::new(&super::orders(), super::body(1)).unwrap();
    let packet = outgoing.frame(Lane::Bulk, 1, &parcel);
    incoming.check(&packet.head, Some(&parcel.digest)).is_ok()
}

#[test]
fn both_ends_share_keys_that_nobody_else_has() {
    let (mut near, mut far) = honest(p(0), p(1));
    assert!(opens(&mut near.outgoing, &mut far.incoming));
    assert!(opens(&mut far.outgoing, &mut near.incoming));
    let (mut again, mut far_again) = honest(p(0), p(1));
    assert!(!opens(&mut near.outgoing, &mut far_again.incoming), "replay across lines");
    assert!(!opens(&mut again.outgoing, &mut near.incoming), "reflection");
}

#[test]
fn packets_cannot_be_repeated_left_out_or_exchanged() {
    let (mut near, far) = honest(p(0), p(1));
    let packets: Vec<_> =
        (1..=3).map(|number| near.outgoing.note(Kind::Acked(Lane::Bulk), number)).collect();
    let mut incoming = far.incoming;
    assert!(incoming.check(&packets[0].head, None).is_ok());
    assert!(incoming.check(&packets[0].head, None).is_err(), "repeated");
    let (mut near, mut far) = honest(p(0), p(1));
    let skipped = near.outgoing.note(Kind::Alive, 0);
    let next = near.outgoing.note(Kind::Alive, 0);
    assert!(far.incoming.check(&next.head, None).is_err(), "left out");
    drop(skipped);
}

#[test]
fn every_bit_of_a_sealed_packet_counts() {
    let (mut near, far) = honest(p(0), p(1));
    let parcel = Parcel::new(&super::orders(), super::body(1)).unwrap();
    let packet = near.outgoing.frame(Lane::Control, 1, &parcel);
    let bytes = packet.head.write();
    let fresh = |seals: &Seals| seals.again();
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(head) = crate::link::packet::Head::read(&changed) else { continue };
        assert!(fresh(&far.incoming).check(&head, Some(&parcel.digest)).is_err(), "bit {bit}");
    }
    let other = Parcel::new(&super::orders(), super::body(2)).unwrap();
    assert!(fresh(&far.incoming).check(&packet.head, Some(&other.digest)).is_err());
    assert!(fresh(&far.incoming).check(&packet.head, Some(&parcel.digest)).is_ok());
}

#[test]
fn no_byte_of_a_handshake_can_be_changed_or_cut() {
    let (dialer, listener) = (passport(p(0)), passport(p(1)));
    let mut lengths = [0; 4];
    shake(&dialer, &listener, p(1), |step, bytes| {
        lengths[step] = bytes.len();
        bytes
    })
    .unwrap();
    for (step, length) in lengths.into_iter().enumerate() {
        for at in 0..length {
            let flipped = shake(&dialer, &listener, p(1), |now, mut bytes| {
                if now == step && at < bytes.len() {
                    bytes[at] ^= 1;
                }
                bytes
            });
            assert!(flipped.is_err(), "byte {at} of message {step} flipped");
            let cut = shake(&dialer, &listener, p(1), |now, mut bytes| {
                if now == step {
                    bytes.truncate(at);
                }
                bytes
            });
            assert!(cut.is_err(), "message {step} cut at {at}");
        }
    }
}

#[test]
fn refusals_say_what_to_do() {
    let refuse = |dialer: &Passport, to: Owner| {
        shake(dialer, &passport(p(1)), to, |_, bytes| bytes).err().unwrap().to_string()
    };
    let elsewhere = Passport { network: Digest::of("test", b"other"), ..passport(p(0)) };
    assert!(refuse(&elsewhere, p(1)).contains("deal again"));
    assert!(refuse(&passport(p(0)), p(2)).contains("check the addresses"));
    assert!(refuse(&passport(p(7)), p(1)).contains("not in the configuration"));
    assert!(refuse(&passport(client(9)), p(1)).contains("not in the configuration"));
    let liar = Passport { identity: Arc::new(Toy(p(3))), ..passport(p(0)) };
    assert!(refuse(&liar, p(1)).contains("did not prove"));
}

#[test]
fn another_version_is_named_before_anything_else_is_read() {
    let (_, hello) = Dialing::start(&passport(p(0)), p(1));
    let mut newer = hello.to_vec();
    newer[12] = 9;
    newer.truncate(14);
    let refusal = Listening::start(&passport(p(1)), &newer).err();
    assert_eq!(refusal, Some(Refusal::Version(9)));
    for garbage in [&b""[..], b"GET / HTTP/1.1\r\n", &[0xff; 600], &hello[..13]] {
        let refusal = Listening::start(&passport(p(1)), garbage).err();
        assert_eq!(refusal, Some(Refusal::Garbage));
    }
}

#[test]
fn the_listener_must_prove_itself_too() {
    let imposter = Passport { identity: Arc::new(Toy(p(3))), ..passport(p(1)) };
    let end = shake(&passport(p(0)), &imposter, p(1), |_, bytes| bytes).err();
    assert!(matches!(end, Some(End::Refused(Refusal::Proof))));
}

#[test]
fn guests_with_real_keys_come_in_only_when_they_prove_them() {
    let secret = |seed| SecretKey::from_seed(&[seed; 32]);
    let real = |owner, seed, open| {
        let public = [(p(1), secret(1).public())].into();
        Arc::new(P256Identity::new(owner, secret(seed), Arc::new(public), open))
    };
    let listener =
        Passport { identity: real(p(1), 1, true), guests: Some(guests()), ..passport(p(1)) };
    let guest = Owner::Client(secret(2).public().client());
    let bearing = |seed, key: u8| Passport {
        identity: real(guest, seed, false),
        key: Some(Bytes::copy_from_slice(&secret(key).public().to_bytes())),
        ..passport(guest)
    };
    let shake = |dialer| shake(&dialer, &listener, p(1), |_, bytes| bytes);
    assert!(shake(bearing(3, 3)).is_err(), "the key is not the one of this name");
    assert!(shake(bearing(3, 2)).is_err(), "it has the public key only");
    assert!(shake(bearing(2, 2)).is_ok());
    assert!(shake(bearing(3, 2)).is_err(), "it was here before, which changes nothing");
}

#[test]
fn guests_bring_their_key_and_prove_it() {
    let open = Passport {
        guests: Some(Arc::new(|id, key, tag, digest, signature| {
            let owner = Owner::Client(id);
            key == b"the key" && Toy::signature(owner, tag, digest) == *signature
        })),
        ..passport(p(1))
    };
    let guest = |key: Option<&'static [u8]>| Passport {
        key: key.map(Bytes::from_static),
        ..passport(client(9))
    };
    let shake = |dialer: &Passport| shake(dialer, &open, p(1), |_, bytes| bytes);
    assert!(shake(&guest(Some(b"the key"))).is_ok());
    assert!(shake(&guest(Some(b"a wrong key"))).is_err());
    assert!(shake(&guest(None)).is_err());
    let party = Passport { key: Some(Bytes::from_static(b"the key")), ..passport(p(9)) };
    assert!(shake(&party).is_err(), "nobody is a party by his own word");
}
