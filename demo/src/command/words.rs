//! From a line to words, and from words to what a command takes.

use std::{ops::RangeInclusive, time::Duration};

use maftia_tss::limits::LEASE_MILLIS_MAX;

use super::{
    Command,
    table::{Entry, Shape},
};
use crate::failure::{Code, Failure, meant};

/// The longest line that is read: far above any command, far below what could hurt.
const LINE_MAX: usize = 64 * 1024;

/// How long a transaction may live, in milliseconds.
const LEASES: RangeInclusive<u128> = 1..=LEASE_MILLIS_MAX as u128;

/// Splits a line at white space. Double quotes keep words together, `#` begins a comment.
pub(crate) fn split(line: &str) -> Result<Vec<String>, Failure> {
    if line.contains(char::REPLACEMENT_CHARACTER) {
        return Err(bad_arguments("some bytes of the line are no UTF-8", "write it in UTF-8"));
    }
    if line.len() > LINE_MAX {
        let message = format!("the line has more than the {LINE_MAX} bytes that are read");
        return Err(bad_arguments(message, "split it, or shorten it"));
    }
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted && word.is_none() => break,
            space if space.is_whitespace() && !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    if quoted { Err(bad_arguments("a quote is not closed", "close it with \"")) } else { Ok(words) }
}

/// The words after the name of a command, sorted into places and flags.
#[derive(Debug)]
pub(crate) struct Given {
    places: Vec<String>,
    flags: Vec<(&'static str, Option<String>)>,
}

impl Given {
    /// Sorts the words as the entry wants them.
    pub(crate) fn sort(entry: &Entry, words: &[String]) -> Result<Self, Failure> {
        let mut given = Self { places: Vec::new(), flags: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            // A text takes everything, so that a reason may contain dashes.
            let in_text = entry.text_from().is_some_and(|place| given.places.len() >= place);
            if word.starts_with("--") && !in_text {
                given.flags.push(flag(entry, word, &mut words)?);
            } else {
                given.places.push(word.clone());
            }
        }
        given.check(entry).map(|()| given)
    }

    fn check(&self, entry: &Entry) -> Result<(), Failure> {
        if let Some(missing) = entry.required.get(self.places.len()) {
            let message = format!("`{}` needs {}", entry.name, missing.name());
            return Err(bad_arguments(message, format!("usage: {}", entry.usage())));
        }
        match self.places.get(entry.required.len() + entry.optional.len()) {
            Some(extra) if entry.text_from().is_none() => {
                let message = format!("`{}` does not take `{}`", entry.name, printable(extra));
                Err(bad_arguments(message, format!("usage: {}", entry.usage())))
            }
            _ => self.check_choices(entry),
        }
    }

    fn check_choices(&self, entry: &Entry) -> Result<(), Failure> {
        for (place, word) in self.places.iter().enumerate() {
            if let Some(Shape::OneOf(choices)) = entry.shape(place)
                && !choices.contains(&word.as_str())
            {
                let message = format!("`{}` does not know `{}`", entry.name, printable(word));
                let meant = meant(word, choices.iter().copied());
                return Err(bad_arguments(message, format!("{meant}usage: {}", entry.usage())));
            }
        }
        Ok(())
    }

    /// The word at a place that must be there.
    pub(crate) fn word(&self, place: usize) -> &str {
        &self.places[place]
    }

    /// The word at a place that may be empty.
    pub(crate) fn text(&self, place: usize) -> Option<&str> {
        self.places.get(place).map(String::as_str)
    }

    /// All words from a place on, as one text.
    pub(crate) fn rest(&self, place: usize) -> String {
        self.places.get(place..).unwrap_or_default().join(" ")
    }

    /// Whether a flag was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, _)| *name == flag)
    }

    /// The whole number at a place.
    pub(crate) fn value(&self, place: usize) -> Result<i64, Failure> {
        let word = self.word(place);
        word.parse().map_err(|_| {
            let message = format!("`{}` is not a whole number", printable(word));
            let help = format!("write one between {} and {}", i64::MIN, i64::MAX);
            Failure::new(Code::BadAmount, message, help)
        })
    }

    /// The whole number above 0 at a place.
    pub(crate) fn amount(&self, place: usize) -> Result<i64, Failure> {
        match self.value(place)? {
            amount if amount > 0 => Ok(amount),
            amount => {
                let message = format!("{amount} cannot be moved");
                Err(Failure::new(Code::BadAmount, message, "write a whole number above 0"))
            }
        }
    }

    /// The count at a place that may be empty.
    pub(crate) fn count(&self, place: usize) -> Result<Option<usize>, Failure> {
        let wrong = |word: &str| {
            let message = format!("`{}` is not a count", printable(word));
            Failure::new(Code::BadAmount, message, "write a whole number, 0 or above")
        };
        self.text(place).map(|word| word.parse().map_err(|_| wrong(word))).transpose()
    }

    /// The span of time that follows a flag.
    pub(crate) fn duration(&self, flag: &str) -> Result<Option<Duration>, Failure> {
        let given = self.flags.iter().find(|(name, _)| *name == flag);
        let Some(text) = given.and_then(|(_, value)| value.as_deref()) else { return Ok(None) };
        let help = "write a number and a unit, as in 500ms, 30s or 2m";
        match humantime::parse_duration(text) {
            Ok(span) if LEASES.contains(&span.as_millis()) => Ok(Some(span)),
            Ok(span) => {
                let wrong = if span > Duration::from_secs(1) { "long" } else { "short" };
                let message = format!("`{}` is too {wrong} for a transaction", printable(text));
                Err(Failure::new(Code::BadDuration, message, "between 1ms and 1h is possible"))
            }
            Err(error) => {
                let message = format!("`{}` is not a span of time: {error}", printable(text));
                Err(Failure::new(Code::BadDuration, message, help))
            }
        }
    }

    /// `tx`, `tx list`, `tx show ID`.
    pub(crate) fn transactions(&self) -> Result<Command, Failure> {
        match (self.text(0), self.text(1)) {
            (None | Some("list"), None) => Ok(Command::TxList),
            (Some("show"), Some(tx)) => Ok(Command::TxShow(tx.to_owned())),
            (Some("show"), None) => Err(bad_arguments("`tx show` needs ID", "")),
            _ => Err(bad_arguments("`tx list` takes nothing", "")),
        }
    }
}

/// Reads a flag, and what follows it.
fn flag<'a>(
    entry: &Entry,
    word: &str,
    words: &mut impl Iterator<Item = &'a String>,
) -> Result<(&'static str, Option<String>), Failure> {
    let (name, inline) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    let usage = || format!("usage: {}", entry.usage());
    let Some(flag) = entry.flags.iter().find(|flag| flag.name == name) else {
        let message = format!("`{}` has no flag `{}`", entry.name, printable(name));
        return Err(bad_arguments(message, usage()));
    };
    match (flag.value, inline) {
        (None, None) => Ok((flag.name, None)),
        (None, Some(_)) => Err(bad_arguments(format!("`{name}` takes no value"), usage())),
        (Some(what), inline) => match inline.or_else(|| words.next().cloned()) {
            Some(value) => Ok((flag.name, Some(value))),
            None => Err(bad_arguments(format!("`{name}` needs {what}"), usage())),
        },
    }
}

fn bad_arguments(message: impl Into<String>, help: impl Into<String>) -> Failure {
    Failure::new(Code::BadArguments, message, help)
}

/// A word of the user as it can be shown: no control characters, not endless.
pub(crate) fn printable(word: &str) -> String {
    shown(word, 60)
}

/// At most so many letters of a text of the user, without control characters.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let letters = text.chars().take(most);
    let mut shown: String = letters.map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        shown.push_str("..");
    }
    shown
}
