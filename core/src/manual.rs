//! Pages of the manual: what was decided, why, and what was rejected.

#[doc = include_str!("../manual/composition.md")]
pub mod composition {}
#[doc = include_str!("../manual/recovery.md")]
pub mod recovery {}
#[doc = include_str!("../manual/entry.md")]
pub mod entry {}
#[doc = include_str!("../manual/open.md")]
pub mod open {}
#[doc = include_str!("../manual/links.md")]
pub mod links {}
#[doc = include_str!("../manual/services.md")]
pub mod services {}
#[doc = include_str!("../manual/deviations.md")]
pub mod deviations {}
