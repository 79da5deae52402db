//! The world in which protocols are tried out. No binary contains it.
//!
//! [`ideal`]: every cryptographic scheme as a keyed hash, so that a run costs microseconds.

pub mod ideal;
