//! Transactional support service: many groups, one outcome.
//!
//! Clients begin transactions at a **transaction manager**, work on **resources** of any number of
//! groups through their **resource managers**, and commit: in all groups, or in none. Every manager
//! is a [`Service`](maftia_core::replica::service::Service), a plain value that a group of replicas
//! feeds with the same ordered items; up to `f` lying replicas of each group change nothing.
//!
//! ```text
//! client                transaction manager             resource managers
//!   -- begin ------------------>
//!   <-- 7Q, token --------------
//!   -- read, write, transfer ------------------------------->   lock, work on a copy
//!                               <-- Register ----------------   (first time: who is this client?)
//!                               -- Registered -------------->
//!   <-------------------------------------------------------    the answer
//!   -- commit ----------------->                                all clients must agree,
//!                               -- Prepare ----------------->   to the same view of who takes part
//!                               <-- Vote --------------------   seal the locks
//!   <-- committed --------------
//!                               -- Commit ------------------>   take effect, let go of locks
//!                               <-- Committed ---------------
//! ```
//!
//! A transaction may have several clients: one begins it and hands its [`token`] on. Any of them may
//! abort it; it commits only when all have agreed to the same members and groups. Locks cannot
//! deadlock: an older transaction takes what it needs from a younger one, which is told why. Whoever
//! vanishes is outlived by a lease, counted in ticks of ordered time.
//!
//! Read in this order: [`transaction`], [`token`], [`request`] and [`statement`] (what is said),
//! [`manager`] (who decides), [`lock`], [`resource`] and [`resources`] (who works), [`client`] (who
//! asks). [`limits`] bounds it all, [`refusal`] says what went wrong.

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
#[cfg(test)]
mod tests;
mod ticks;
pub mod token;
pub mod transaction;
