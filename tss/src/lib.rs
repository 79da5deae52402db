//! Transactional support service: many groups, one outcome.

#![forbid(unsafe_code)]

pub mod client;
mod history;
pub mod limits;
pub mod lock;
pub mod manager;
pub mod refusal;
pub mod request;
pub mod resource;
pub mod resources;
pub mod statement;
#[cfg(test)]
mod testing;
mod ticks;
pub mod token;
pub mod transaction;
