//! What is wrong with a configuration, and what to do about it.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line of the text, from 1, where that is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// Something wrong that has no line of its own.
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line: None, what: what.into(), help: Some(help.into()) }
    }

    /// What the parser says about this text.
    pub(super) fn from_toml(error: &toml::de::Error, text: &str) -> Self {
        let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
        let what = error.message().lines().collect::<Vec<_>>().join("; ");
        let help = suggestion(&what).map(|name| format!("did you mean `{name}`?"));
        Self { line, what, help }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration: at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The nearest of the names that a message of serde offers in place of the unknown one.
fn suggestion(message: &str) -> Option<&str> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let wrong = names.next()?;
    names
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// How many letters to insert, drop or replace.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(distance("fautls", "faults"), 2);
        assert_eq!(distance("", "abc"), 3);
        let message = "unknown field `fauts`, expected one of `name`, `faults`, `members`";
        assert_eq!(suggestion(message), Some("faults"));
        assert_eq!(suggestion("unknown field `zebra`, expected `name` or `faults`"), None);
        assert_eq!(suggestion("missing field `name`"), None);
    }
}
