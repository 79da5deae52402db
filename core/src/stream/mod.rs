//! Streams: many payloads, in order.
//!
//! | | promises | uses |
//! |---|---|---|
//! | [`reliable`] | everybody delivers the same payloads of a sender in the same order | one reliable broadcast a batch |
//! | [`consistent`] | nobody delivers others, but some may deliver none | one consistent broadcast a batch |
//! | [`atomic`] | everybody delivers the same payloads in the same order | one multivalued agreement a round |
//! | [`certified`] | the same, its payloads in lanes that no agreement holds up | an atomic stream of receipts |
//! | [`fast`] | the same | a leader, and an atomic stream when that fails |
//! | [`closing`] | the same, and the end is at the same slot for all | an atomic stream |
//! | [`secure`] | the same, and nobody reads a payload before its place is fixed | an atomic stream, the cipher |

mod again;
pub mod atomic;
pub mod batch;
pub mod certified;
pub mod closing;
pub mod consistent;
#[cfg(any(test, feature = "sim"))]
pub mod contents;
mod delivery;
pub mod fast;
pub mod fifo;
pub mod open;
pub mod reliable;
pub mod secure;
