//! The schedules of known attacks, message by message. Each is run against a broken variant, which
//! falls, and against ours, which stands.
//!
//! | schedule | falls | stands because |
//! |---|---|---|
//! | [`steering`] | binary agreement without one of its three rules: it never ends | the coin comes after what it could be steered against |
//! | [`abba`] | a graded step that is not binding, with a coin of `f + 1`: it never ends | with a coin of `n - f` it does; ours binds before the coin |
//! | [`certificates`] | certificates that count shares, accept an empty list, or name no instance | size, signers and tag are checked |

mod abba;
mod certificates;
mod steering;
