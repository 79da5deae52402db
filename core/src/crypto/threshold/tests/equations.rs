//! The curve itself, and equations checked together.

use super::{
    super::pairing::{Equation, all_hold, hash},
    *,
};

with_each_library!(
    a_batch_holds_if_each_does,
    points_come_out_as_they_went_in,
    wrong_encodings_are_no_points,
);

/// Signatures of some digests under some keys.
fn equations<C: Curve>(count: u8) -> Vec<Equation<C>> {
    let (_, secrets) = dealer::pairing(&mut rng("equations"), u16::from(count), 1);
    let equation = |(at, secret): (u8, &PairingSecret)| {
        let key = C::First::generator().times(secret.repr());
        let message = hash::<C>("test", &[&[at]]);
        Equation::signed(key, message, message.times(secret.repr()))
    };
    (0..).zip(&secrets).map(equation).collect()
}

fn a_batch_holds_if_each_does<C: Curve>() {
    assert!(all_hold::<C>(&[]));
    for count in [1, 2, 9] {
        let mut all = equations::<C>(count);
        assert!(all_hold(&all));
        let last = all.len() - 1;
        all[last].d = all[last].d.negated();
        assert!(!all_hold(&all), "one of {count} is wrong");
    }
    // Two that are wrong by as much as each other, which a plain product would not notice.
    let mut all = equations::<C>(3);
    let error = hash::<C>("test", &[b"error"]);
    let one = threshold_crypto::FrRepr([1, 0, 0, 0]);
    all[0].d = C::Second::sum(&[(all[0].d, one), (error, one)]);
    all[1].d = C::Second::sum(&[(all[1].d, one), (error.negated(), one)]);
    let product: Vec<_> =
        all.iter().flat_map(|Equation { a, b, c, d }| [(*a, *b), (c.negated(), *d)]).collect();
    assert!(C::is_one(&product), "it does not");
    assert!(!all_hold(&all));
    // Not of one base: each is looked at alone.
    let mut all = equations::<C>(2);
    (all[0].a, all[0].c) = (all[0].c, all[0].a);
    (all[0].b, all[0].d) = (all[0].d, all[0].b);
    assert!(all_hold(&all));
}

fn points_come_out_as_they_went_in<C: Curve>() {
    let [a, b] = [C::First::generator().write(), C::Second::generator().write()];
    assert_eq!((a.len(), b.len()), (C::First::LEN, C::Second::LEN));
    assert_eq!(C::First::read(&a), Some(C::First::generator()));
    assert_eq!(C::Second::read(&b), Some(C::Second::generator()));
    assert_eq!(a, Plain::first(), "the generator of every library");
    assert_ne!(C::hash(&[1; 32]), C::hash(&[2; 32]));
}

fn wrong_encodings_are_no_points<C: Curve>() {
    let (good, zero) = (C::First::generator().write(), infinity(48));
    for bytes in [&zero[..], &good[1..], &[0; 48], &[0xff; 48], &[&good[..], &[0]].concat()] {
        assert_eq!(C::First::read(bytes), None, "{bytes:?}");
    }
    // On the curve and not in the subgroup: most points are.
    let strangers = (0..200_u8).filter(|at| {
        let mut bytes = good.clone();
        bytes[47] = *at;
        C::First::read(&bytes).is_some()
    });
    assert!(strangers.count() <= 1, "the generator itself, if at all");
}

impl Plain {
    /// The generator of the first curve, compressed.
    fn first() -> Vec<u8> {
        <Plain as Curve>::First::generator().write()
    }
}
