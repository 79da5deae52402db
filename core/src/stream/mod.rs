//! Streams: many payloads, in order.

pub mod batch;
