//! The whole service, as plain values.

mod bounds;
mod random;
mod stories;
