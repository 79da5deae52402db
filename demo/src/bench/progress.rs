//! What a person sees while a run goes on. Without a terminal, nothing.

use std::{ops::Range, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error. Dropped, it goes.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for a run of this name.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        let bar = ProgressBar::new(1_000);
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}");
        bar.set_style(style.expect("the template is well-formed").progress_chars("##-"));
        bar.set_prefix(what.into());
        Self { bar }
    }

    /// The run is at a step that has no length.
    pub(crate) fn say(&self, words: &str) {
        self.bar.set_message(words.to_owned());
        self.bar.tick();
    }

    /// The load has come so far.
    pub(crate) fn step(&self, span: &Range<u64>, now: u64, per_s: f64) {
        let whole = (span.end - span.start).max(1);
        let done = now.saturating_sub(span.start).min(whole);
        let warm = if now < span.start { "warming up, " } else { "" };
        let rounded = |nanos: u64| Duration::from_secs(nanos / 1_000_000_000).as_secs();
        self.bar.set_position(done.saturating_mul(1_000) / whole);
        self.bar.set_message(format!(
            "{}/{} s  {warm}{per_s:.0} payloads/s",
            rounded(done),
            rounded(whole)
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
