//! The promises of the atomic stream in simulated worlds: groups of 4, 5 and 7, every misdeed, every
//! scheduler, restarts, children of their own; for each engine.
//!
//! *Total order*, *integrity* (no duplicates, no gaps, the order of submission), *liveness*: all that
//! correct parties submitted is delivered by all of them, whatever liars go on doing. *Rest*: when
//! the liars have fallen silent, so does the group. *No slander*. *Bounded memory*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test stream`, and `MAFTIA_N=7` for one size.
//! With very many, the properties called `everything_is_delivered..` say the most: one for each engine,
//! and `leaders::` for the fast one with any liars and any clocks. A seed takes some milliseconds with
//! four members and thrice as many with seven:
//! `MAFTIA_N=4 MAFTIA_SEEDS=0..100000 cargo test --release --test stream everything_is_delivered`.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

mod alone;
mod behind;
mod certified;
mod differential;
mod fast;
mod group;
mod leaders;
mod misrule;
mod power;
mod rounds;
