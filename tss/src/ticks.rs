//! Durations in ticks.

use maftia_core::time::Span;

/// After how many ticks at least `span` has passed. The first tick may come at once, so one more
/// than fit.
pub(crate) fn ticks(span: Span, tick: Span) -> u64 {
    span.as_micros().div_ceil(tick.as_micros().max(1)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_never_cut_short() {
        assert_eq!(ticks(Span::millis(1), Span::millis(1_000)), 2);
        assert_eq!(ticks(Span::millis(3_000), Span::millis(1_000)), 4);
        assert_eq!(ticks(Span::millis(3_001), Span::millis(1_000)), 5);
        assert_eq!(ticks(Span::micros(u64::MAX), Span::micros(0)), u64::MAX);
    }
}
