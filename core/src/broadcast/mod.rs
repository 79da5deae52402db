//! Broadcasts: one party speaks, and what the others hear is the same.
//!
//! | | [`reliable`] | [`consistent`] |
//! |---|---|---|
//! | two correct parties that deliver | deliver the same | deliver the same |
//! | one correct party delivers | all do | others may not, but it can make them: the closing convinces |
//! | messages | `n + 2n²`, no signature | `3n`, one share a party, one certificate |
//! | used for | a payload that everybody must get | a proposal that somebody must be able to show |
//!
//! Neither says anything about the order of two broadcasts: that is what streams are for.

pub mod consistent;
pub mod reliable;
