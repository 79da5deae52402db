//! The only crate that knows actix, sockets and disks.

pub mod link;
pub mod log;
