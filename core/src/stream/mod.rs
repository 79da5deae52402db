//! Streams: many payloads, in order.
//!
//! | | promises | uses |
//! |---|---|---|
//! | [`atomic`] | everybody delivers the same payloads in the same order | one multivalued agreement a round |

pub mod atomic;
pub mod batch;
