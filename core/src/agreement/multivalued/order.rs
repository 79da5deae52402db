//! Commit vectors, and the order of candidates that a coin gives.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{crypto::Digest, id::PartyId, seat::Seat};

/// The longest encoding of a commit vector of a group of `n`: a bit for each party.
pub(super) fn vector_len(n: u16) -> usize {
    usize::from(n).div_ceil(8)
}

/// The bytes of a commit vector: bit `i % 8` of byte `i / 8` stands for party `i`.
pub(super) fn encode(members: &BTreeSet<PartyId>, n: u16) -> Bytes {
    let mut bytes = vec![0_u8; vector_len(n)];
    for member in members {
        bytes[member.index() / 8] |= 1 << (member.index() % 8);
    }
    bytes.into()
}

/// The commit vector in these bytes, if it names enough members and nobody else.
pub(super) fn decode(bytes: &[u8], seat: &Seat) -> Option<BTreeSet<PartyId>> {
    let n = seat.thresholds().n();
    let bit = |party: &PartyId| bytes[party.index() / 8] >> (party.index() % 8) & 1 == 1;
    if bytes.len() != vector_len(n) {
        return None;
    }
    let members: BTreeSet<_> = PartyId::all(n).filter(bit).collect();
    let exact = encode(&members, n) == bytes;
    (exact && members.len() >= seat.thresholds().available()).then_some(members)
}

/// The parties in the order that the coin gives: a shuffle by Fisher and Yates. The remainder of 64
/// random bits is biased by less than `2^-48`.
pub(super) fn permutation(coin: &Digest, n: u16) -> Vec<PartyId> {
    let mut parties: Vec<_> = PartyId::all(n).collect();
    let mut random = blake3::Hasher::new_keyed(coin.as_bytes()).finalize_xof();
    for last in (1..parties.len()).rev() {
        let mut word = [0; 8];
        random.fill(&mut word);
        let chosen = u64::from_le_bytes(word) % (last as u64 + 1);
        parties.swap(last, usize::try_from(chosen).expect("below the size of a group"));
    }
    parties
}
