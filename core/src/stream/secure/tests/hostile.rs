//! What liars try: reading too early, copying, malformed ciphertexts, wrong shares, floods.

use super::*;
use crate::{
    crypto::{Blame, Digest, Scheme},
    stream::atomic::Input as Order,
};

/// The messages of the root that are in flight.
fn said(world: &World) -> Vec<Message> {
    let root = world.pool.iter().filter_map(read::<Secure<Atomic>, Message>);
    root.filter(|(_, instance, _)| instance.path().is_empty()).map(|(.., said)| said).collect()
}

/// Everything that members heard about batches: the ciphertexts in the announcements in flight.
fn announced(world: &World) -> Vec<Envelope> {
    let batches = world.pool.iter().filter_map(|delivery| {
        match read::<Secure<Atomic>, atomic::Message>(delivery)? {
            (_, instance, atomic::Message::Queue { batch, .. }) if instance.path().len() == 1 => {
                Some(batch)
            }
            _ => None,
        }
    });
    batches
        .flat_map(|batch| {
            batch.iter().map(|bytes| wire::decode(&bytes).unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

/// Until its place is fixed, `f` members hold a ciphertext and their own shares of it, and that is
/// nothing: no correct member says a word about it.
#[test]
fn f_members_read_nothing_before_it_is_ordered() {
    for n in [4, 7] {
        let f = (n - 1) / 3;
        let mut world = world(n, 9);
        submit(&mut world, usize::from(n) - 1, &["the secret formula"]);
        // The jobs of the author, and then nothing is delivered: all is in the hands of the liars.
        world.deliver(|(_, mail)| matches!(mail, Mail::Answer { .. }));
        let found = announced(&world);
        let Envelope { author, ciphertext } = &found[0];
        assert_eq!(*author, Author::Member(p(n - 1)));
        assert!(!ciphertext.0.windows(6).any(|window| window == b"secret"));
        assert_eq!(said(&world), []);
        let label = message::label(&world.seats[0].id, *author);
        let shares: Vec<_> = (0..f)
            .map(|liar| {
                let keys = &world.seats[usize::from(liar)].keys;
                (p(liar), keys.cipher.share(&label, ciphertext).unwrap())
            })
            .collect();
        let needed = usize::from(f) + 1;
        let few = world.seats[0].keys.cipher.combine(&label, ciphertext, &shares);
        assert_eq!(few, Err(Blame::TooFew { have: needed - 1, needed }));
        // Everything but the agreement: a ciphertext that everybody has, without a place.
        world.deliver(|(_, mail)| match mail {
            Mail::Frame { instance, .. } => instance.path().len() <= 1,
            _ => true,
        });
        assert_eq!(said(&world), [], "no share before the order");
        assert!(world.outputs.iter().all(|outputs| delivered(outputs).is_empty()));
        world.run();
        assert_eq!(delivered(&world.outputs[0]).len(), 1);
    }
}

/// One party, given what the engine ordered.
fn ordered(payloads: &[Bytes], from: u16) -> (World, Vec<Effect<Secure<Atomic>>>) {
    let world = World::new(4, 1, Spec::default());
    let mut secure = world.trees[0].root().clone();
    let output =
        atomic::Output::Deliver { first: Slot::FIRST, from: p(from), batch: Batch::of(payloads) };
    let mut fx = Effects::new(&world.seats[0]);
    secure.step(Event::Input(Input::Pull { up_to: Slot::new(99) }), &mut fx);
    secure.step(Event::Heard(Heard::Engine(output)), &mut fx);
    let list = fx.into_list();
    (world, list)
}

fn envelope(author: Author, text: &str) -> Envelope {
    let seat = seat(4, 0);
    let label = message::label(&seat.id, author);
    Envelope { author, ciphertext: seat.keys.cipher.encrypt(&label, text.as_bytes(), &[1; 32]) }
}

fn invalid(effects: &[Effect<Secure<Atomic>>]) -> Vec<(u64, u64)> {
    let slots = effects.iter().filter_map(|effect| match effect {
        Effect::Output(Output::Invalid { first, count, .. }) => Some((first.number(), *count)),
        _ => None,
    });
    slots.collect()
}

/// Of how many ciphertexts shares are to be made.
fn jobs(effects: &[Effect<Secure<Atomic>>]) -> usize {
    let sealed = effects.iter().map(|effect| match effect {
        Effect::Ask(Ask::Work(_, Job::OpenShares { sealed })) => sealed.len(),
        _ => 0,
    });
    sealed.sum()
}

#[test]
fn a_copy_in_the_name_of_another_is_refused() {
    let victims = envelope(Author::Member(p(1)), "an idea");
    let (_, effects) = ordered(&[wire::encode(&victims)], 3);
    assert_eq!(
        (invalid(&effects), jobs(&effects)),
        (vec![(0, 1)], 0),
        "as its author's, from another"
    );
    let (_, effects) = ordered(&[wire::encode(&victims)], 1);
    assert_eq!((invalid(&effects), jobs(&effects)), (vec![], 1), "the author's own");
    let client = ClientId::of_key(&Digest::of("test", b"copycat"));
    for name in [Author::Member(p(3)), Author::Client(client)] {
        let copy = Envelope { author: name, ..victims.clone() };
        let label = message::label(&seat(4, 0).id, name);
        assert!(!seat(4, 0).keys.cipher.check(&label, &copy.ciphertext), "under a name of its own");
    }
    let mut world = world(4, 4);
    world.input(3, Input::Forward { client, ciphertext: victims.ciphertext });
    world.run();
    for outputs in &world.outputs {
        assert!(outputs.contains(&Output::Invalid { first: Slot::FIRST, count: 1, from: p(3) }));
        assert_eq!(delivered(outputs), []);
    }
}

/// The name of another stream, or of another use of the name, makes another label.
#[test]
fn a_ciphertext_of_another_stream_is_refused() {
    let author = Author::Member(p(1));
    let here = message::label(&seat(4, 0).id, author);
    let there = message::label(&seat(4, 0).id.child(Role::Stream.only()), author);
    assert_ne!(here, there);
    assert!(!seat(4, 0).keys.cipher.check(&there, &envelope(author, "x").ciphertext));
}

#[test]
fn what_cannot_be_read_takes_its_slot_and_nothing_else() {
    let client = ClientId::of_key(&Digest::of("test", b"client"));
    let mut world = world(4, 4);
    let stream = world.seats[0].id.clone();
    let label = message::label(&stream, Author::Client(client));
    for plaintext in [&b"no batch at all"[..], &wire::encode(&Batch::default())] {
        let ciphertext = world.seats[0].keys.cipher.encrypt(&label, plaintext, &[7; 32]);
        world.input(2, Input::Forward { client, ciphertext });
    }
    world.input(2, Input::Forward { client, ciphertext: Ciphertext(Bytes::from_static(b"")) });
    submit(&mut world, 2, &["a"]);
    world.run();
    for outputs in &world.outputs {
        let bad = outputs.iter().filter(|output| matches!(output, Output::Invalid { .. })).count();
        assert_eq!((bad, delivered(outputs).len()), (3, 1));
    }
    assert_eq!(world.faults, []);
    let (_, effects) = ordered(&[Bytes::from_static(b"\xff"), Bytes::new()], 1);
    assert_eq!((invalid(&effects), jobs(&effects)), (vec![(0, 1), (1, 1)], 0));
}

/// Each ciphertext costs pairings: of a flood in one batch a few are looked at.
#[test]
fn a_flood_in_one_batch_costs_little() {
    let many: Vec<_> =
        (0..1000).map(|n| wire::encode(&envelope(Author::Member(p(3)), &n.to_string()))).collect();
    let (world, effects) = ordered(&many, 3);
    assert_eq!(jobs(&effects), own::FLIGHTS_MAX);
    let mut secure = world.trees[0].root().clone();
    let mut fx = Effects::new(&world.seats[0]);
    let output =
        atomic::Output::Deliver { first: Slot::FIRST, from: p(3), batch: Batch::of(&many) };
    secure.step(Event::Heard(Heard::Engine(output)), &mut fx);
    let flights = own::FLIGHTS_MAX as u64;
    assert_eq!(secure.line.next(), Slot::new(1000));
    assert!(wire::encode(&secure).len() < 10_000);
    let pulls = fx.list().iter().filter_map(|effect| match effect {
        Effect::Ask(Ask::Engine(_, Some(Order::Pull { up_to }))) => Some(up_to.number()),
        _ => None,
    });
    assert_eq!(pulls.max(), None, "the engine waits until {flights} shares are made");
}

fn share_of(world: &World, slot: u64, name: Digest) -> Message {
    let share = Scheme::Ideal.share(&[world.seats[3].id.tag("wrong").as_bytes()]);
    Message::Shares(vec![Released { slot: Slot::new(slot), name, share }])
}

#[test]
fn wrong_shares_are_named_and_left_out() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        world.mute = vec![3];
        submit(&mut world, 0, &["a"]);
        // The name is known once the author has encrypted.
        world.deliver(|(to, mail)| *to == 0 && matches!(mail, Mail::Answer { .. }));
        let name = own::name(&wire::encode(&announced(&world)[0]));
        (0..3).for_each(|to| world.forge(3, to, &share_of(&world, 0, name)));
        world.run();
        assert_eq!(delivered(&world.outputs[1]).len(), 1, "seed={seed}");
        assert!(world.faults.iter().all(|(_, culprit, _)| *culprit == Peer::Member(p(3))));
        let ordered = Fault::BadProof { what: "share of a ciphertext".into() };
        assert!(world.faults.iter().all(|(.., fault)| *fault == ordered));
    }
}

#[test]
fn a_share_of_something_else_is_a_lie_early_or_late() {
    let lie = Fault::BadProof { what: "the name in a share".into() };
    for late in [false, true] {
        let mut world = world(4, 3);
        pull(&mut world, 0, u64::MAX);
        let wrong = share_of(&world, 0, Digest::of("test", b"another"));
        if !late {
            world.forge(3, 0, &wrong);
        }
        submit(&mut world, 1, &["a"]);
        if late {
            world.deliver(|delivery| !is_share(delivery, 0));
            world.pool.retain(|delivery| is_share(delivery, 0));
            let shares = std::mem::take(&mut world.pool);
            world.forge(3, 0, &wrong);
            world.run();
            world.pool = shares;
        }
        world.run();
        assert_eq!(world.faults, [(p(0), Peer::Member(p(3)), lie.clone())], "late={late}");
        assert_eq!(delivered(&world.outputs[0]).len(), 1);
    }
}

#[test]
fn early_shares_take_little_room() {
    let mut world = world(4, 3);
    for slot in 0..10_000 {
        let wrong = share_of(&world, slot, Digest::of("test", b"x"));
        world.forge(3, 0, &wrong);
        world.forge(3, 0, &wrong);
    }
    let far = share_of(&world, u64::MAX, Digest::of("test", b"x"));
    world.forge(3, 0, &far);
    world.forge(3, 0, &Message::Recall { from: Slot::new(u64::MAX), lossy: true });
    world.forge(3, 0, &Message::Told { oldest: Slot::new(u64::MAX), top: Slot::new(u64::MAX) });
    world.run();
    assert!(wire::encode(world.trees[0].root()).len() < 20_000);
    let released = |share| Released { slot: Slot::FIRST, name: Digest::of("test", b"x"), share };
    let huge = released(Scheme::Ideal.share(&[&[0; 4096]]));
    let other = released(Scheme::Rsa.share(&[&[0; 32]]));
    let small = released(Scheme::Ideal.share(&[&[0; 32]]));
    assert_eq!(Message::Shares(vec![small.clone(); 64]).check(Scheme::Ideal), Ok(()));
    for wrong in [vec![huge], vec![small.clone(), other], vec![small; 65]] {
        assert!(Message::Shares(wrong).check(Scheme::Ideal).is_err());
    }
    submit(&mut world, 1, &["a"]);
    world.run();
    assert_eq!(delivered(&world.outputs[0]).len(), 1, "and it holds nobody up");
}
