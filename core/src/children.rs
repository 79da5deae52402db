//! How a parent asks its children, wherever they live.

use crate::{
    crypto::{Answer, Job},
    path::Segment,
    protocol::Protocol,
};

/// The children of a `P`.
///
/// The answers come back through plain functions: all that a closure would capture is in the
/// segment, so a tree can be cloned, compared and saved.
pub trait Children<P: Protocol> {
    /// Opens the child at `at` unless it is open or over, then gives it `input`, if there is one.
    fn ask<C: Protocol>(
        &mut self,
        at: Segment,
        spec: C::Spec,
        input: Option<C::Input>,
        heard: fn(&Segment, C::Output) -> P::Heard,
    );

    /// Has a heavy, pure job done outside the step. A job is done once for each `at`.
    fn compute(&mut self, at: Segment, job: Job, heard: fn(&Segment, Answer) -> P::Heard);
}
