//! Threshold schemes: what enough members of a group can do together, and fewer cannot.

pub mod multisig;
