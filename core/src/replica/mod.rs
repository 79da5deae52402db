//! A deterministic service behind an atomic stream.

pub mod service;
