//! Verifies what a group signed, from its public keys alone and without a line of this project:
//! `verify multisig|pairing KEYS INSTANCE NEEDED LABEL MESSAGE SIGNATURE`
//!
//! KEYS is a file with hexadecimal keys out of `public.toml`, one a line: the identities of all members,
//! or the group's key of `signature`. INSTANCE is `GROUP/EPOCH/NAME`, as in `0/0/orders`; `f + 1` members
//! are NEEDED; MESSAGE and SIGNATURE are files. RSA needs no such program:
//! `openssl dgst -sha256 -verify pub.pem -signature SIGNATURE MESSAGE`.
use p256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
use threshold_crypto::{PublicKey, hash_g2};

fn hash(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    *blake3::Hasher::new_derive_key(context).update(&parts.concat()).finalize().as_bytes()
}
fn keyed(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    *blake3::keyed_hash(&blake3::derive_key(context, b""), &parts.concat()).as_bytes()
}
fn sized(part: &[u8]) -> Vec<u8> {
    [&(part.len() as u64).to_le_bytes()[..], part].concat()
}
/// What a signature covers: the domain of the instance, and the digest of label and message.
fn covered(instance: &str, label: &str, message: &[u8]) -> Option<[[u8; 32]; 2]> {
    let mut parts = instance.splitn(3, '/');
    let group = parts.next()?.parse::<u64>().ok()?.to_le_bytes();
    let (epoch, name) = (format!("e{}", parts.next()?), sized(parts.next()?.as_bytes()));
    let path: [&[u8]; 6] = [&group, epoch.as_bytes(), &[0; 4], &name, &[254], b"signature"];
    let signed = [sized(b"signed message"), sized(label.as_bytes()), sized(message)].concat();
    Some([keyed("maftia/v1/tag", &path), keyed("maftia/v1/digest", &[&signed])])
}
/// A bit for each member, then the signatures of those whose bit is set, who are as many as needed.
fn multisig(keys: &[Vec<u8>], needed: usize, what: [[u8; 32]; 2], found: &[u8]) -> Option<bool> {
    let (bits, found) = found.split_at_checked(keys.len().div_ceil(8))?;
    let signers: Vec<_> =
        (0..8 * bits.len()).filter(|at| bits[at / 8] >> (at % 8) & 1 == 1).collect();
    let prehash = hash("maftia/v1/signature", &[&[4], &what[0], &what[1]]);
    let right = |(at, signature): (&usize, &[u8])| {
        let key = VerifyingKey::from_sec1_bytes(keys.get(*at)?).ok()?;
        key.verify_prehash(&prehash, &Signature::from_slice(signature).ok()?).ok()
    };
    let counts = signers.len() == needed && found.len() == 64 * needed;
    Some(counts && signers.iter().zip(found.chunks(64)).all(|one| right(one).is_some()))
}
/// One signature of the whole group over a pairing.
fn pairing(keys: &[Vec<u8>], what: [[u8; 32]; 2], found: &[u8]) -> Option<bool> {
    let key: [u8; 48] = keys.first()?.as_slice().try_into().ok()?;
    let found = threshold_crypto::Signature::from_bytes(<[u8; 96]>::try_from(found).ok()?).ok()?;
    let point =
        hash("maftia/v1/threshold signature", &[&sized(&[4]), &sized(&what[0]), &sized(&what[1])]);
    Some(PublicKey::from_bytes(key).ok()?.verify_g2(&found, hash_g2(point)))
}
/// Whether the signature holds; `None` if the arguments or the files make no sense.
pub(crate) fn verify(args: &[String]) -> Option<bool> {
    let [scheme, keys, instance, needed, label, message, signature] = args else { return None };
    let hex = |line: &str| {
        let byte = |at| u8::from_str_radix(line.get(at..at + 2)?, 16).ok();
        (0..line.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()
    };
    let keys = std::fs::read_to_string(keys).ok()?.lines().map(hex).collect::<Option<Vec<_>>>()?;
    let what = covered(instance, label, &std::fs::read(message).ok()?)?;
    let found = std::fs::read(signature).ok()?;
    match scheme.as_str() {
        "multisig" => multisig(&keys, needed.parse().ok()?, what, &found),
        _ => pairing(&keys, what, &found),
    }
}
fn main() {
    let holds = verify(&std::env::args().skip(1).collect::<Vec<_>>()) == Some(true);
    println!("{}", if holds { "verified" } else { "NOT verified" });
    std::process::exit(i32::from(!holds));
}
