//! Where an instance runs changes nothing but time.

use super::oracle::Broken;
use crate::{protocol::Kind, seat::Owner};

/// What the correct owners put out in one run of a scenario.
pub type Outcome<T> = Vec<(Owner, Vec<T>)>;

/// Runs a scenario with everything inline and with children of these kinds detached, and compares
/// what comes out. The scenario is one whose outcome no order of delivery changes, such as the
/// agreement of correct parties that all want the same.
///
/// # Errors
/// When the outcomes differ.
pub fn same_in_any_placement<T: PartialEq + std::fmt::Debug>(
    kinds: &[Kind],
    mut scenario: impl FnMut(&[Kind]) -> Outcome<T>,
) -> Result<(), Broken> {
    let (inline, detached) = (scenario(&[]), scenario(kinds));
    if inline == detached {
        return Ok(());
    }
    let found = format!("inline {inline:?}, detached {detached:?}");
    Err(Broken { promise: "placement", found })
}
