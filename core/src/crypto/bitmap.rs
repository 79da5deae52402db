//! The signers of a certificate, a bit a member.

use crate::id::PartyId;

/// The bytes of a bitmap for `n` members.
pub(crate) fn len(n: u16) -> usize {
    usize::from(n).div_ceil(8)
}

/// The bitmap of these members of a group of `n`.
pub(crate) fn of(members: &[PartyId], n: u16) -> Vec<u8> {
    let mut bits = vec![0; len(n)];
    for member in members {
        bits[member.index() / 8] |= 1 << (member.index() % 8);
    }
    bits
}

/// The members in the bitmap, in order. `None` if it has another length than a group of `n` needs,
/// or names one who does not exist.
pub(crate) fn members(bits: &[u8], n: u16) -> Option<Vec<PartyId>> {
    if bits.len() != len(n) {
        return None;
    }
    let set = |at: usize| bits[at / 8] & (1 << (at % 8)) != 0;
    if (usize::from(n)..bits.len() * 8).any(set) {
        return None;
    }
    Some(PartyId::all(n).filter(|party| set(party.index())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_and_strangers_do_not() {
        let some = [1, 7, 8, 9].map(PartyId::new);
        assert_eq!(members(&of(&some, 10), 10), Some(some.to_vec()));
        assert_eq!(members(&of(&some, 10), 9), None, "member 9 of 9 does not exist");
        assert_eq!(members(&[0xff], 8).map(|all| all.len()), Some(8));
        assert_eq!(members(&[0, 0], 8), None);
        assert_eq!(members(&[], 8), None);
    }
}
