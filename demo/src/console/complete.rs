//! Completion: what can stand where, from the table of commands and what the cluster has.

use std::sync::{Arc, Mutex};

use rustyline::{
    Context, Helper, completion::Completer, highlight::Highlighter, hint::Hinter,
    validate::Validator,
};

use crate::{
    cluster::{Cluster, FaultKind, Role},
    command::table::{Shape, TABLE},
    shell::Shell,
};

/// The names that can be completed now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    groups: Vec<String>,
    replicas: Vec<String>,
    accounts: Vec<String>,
    clients: Vec<String>,
    transactions: Vec<String>,
}

impl Words {
    /// The names that a console knows.
    pub(crate) fn of<C: Cluster>(shell: &Shell<C>) -> Self {
        let groups = shell.cluster().groups();
        let replicas = groups
            .iter()
            .flat_map(|group| (0..group.n).map(|index| format!("{}[{index}]", group.name)));
        let keep = groups.iter().filter(|group| group.role == Role::Resources);
        let folders = keep.map(|group| format!("{}/", group.name));
        let accounts = shell.cluster().accounts().into_iter().map(|account| account.to_string());
        Self {
            replicas: replicas.collect(),
            accounts: accounts.chain(folders).collect(),
            clients: shell.clients(),
            transactions: shell.transactions(),
            groups: groups.into_iter().map(|group| group.name).collect(),
        }
    }

    /// What may stand at a place of this shape.
    fn fitting(&self, shape: Shape) -> Vec<String> {
        match shape {
            Shape::Account(_) => self.accounts.clone(),
            Shape::Group => self.groups.clone(),
            Shape::Replica => self.replicas.clone(),
            Shape::Kind => FaultKind::ALL.into_iter().map(|kind| kind.name().to_owned()).collect(),
            Shape::Token => vec!["$token".to_owned()],
            Shape::Client => self.clients.clone(),
            Shape::Tx => self.transactions.clone(),
            Shape::Command => TABLE.iter().map(|entry| entry.name.to_owned()).collect(),
            Shape::OneOf(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Shape::Number(_) | Shape::Text(_) | Shape::File => Vec::new(),
        }
    }

    /// Where the last word of a line begins, and what it may become.
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (before, begun) = line.split_at(start);
        let mut words = before.split_whitespace();
        let all = match words.next() {
            None => self.fitting(Shape::Command),
            Some(name) => self.after(name, words, begun),
        };
        (start, all.into_iter().filter(|word| word.starts_with(begun)).collect())
    }

    fn after<'a>(
        &self,
        name: &str,
        words: impl Iterator<Item = &'a str>,
        begun: &str,
    ) -> Vec<String> {
        let Some(entry) = TABLE.iter().find(|entry| entry.name == name) else { return Vec::new() };
        if begun.starts_with('-') {
            return entry.flags.iter().map(|flag| flag.name.to_owned()).collect();
        }
        let place = words.filter(|word| !word.starts_with("--")).count();
        entry.shape(place).map(|shape| self.fitting(shape)).unwrap_or_default()
    }
}

/// What the line editor asks.
pub(crate) struct Guide {
    words: Arc<Mutex<Words>>,
}

impl Guide {
    /// A guide that completes these words, which may change while it is used.
    pub(crate) const fn new(words: Arc<Mutex<Words>>) -> Self {
        Self { words }
    }
}

impl Completer for Guide {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let words = self.words.lock().expect("nobody panics with the words in hand");
        let (start, mut all) = words.complete(&line[..at]);
        if let [only] = &mut all[..]
            && !only.ends_with('/')
        {
            // The word is whole, the next one can begin.
            only.push(' ');
        }
        Ok((start, all))
    }
}

impl Hinter for Guide {
    type Hint = String;
}
impl Highlighter for Guide {}
impl Validator for Guide {}
impl Helper for Guide {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::fake::Fake;

    fn complete(line: &str) -> Vec<String> {
        Words::of(&Shell::new(Fake::bank(), "you")).complete(line).1
    }

    #[test]
    fn every_place_completes_what_fits_there() {
        assert_eq!(complete("tr"), ["transfer"]);
        assert_eq!(complete("read left/a"), ["left/alice"]);
        assert_eq!(complete("transfer left/alice right/b"), ["right/bob"]);
        assert_eq!(complete("fault left[2] cor"), ["corrupt-reply", "corrupt-state"]);
        assert_eq!(complete("fault --force tm[3"), ["tm[3]"]);
        assert_eq!(complete("fault tm[3] crash --f"), ["--force"]);
        assert_eq!(complete("tx s"), ["show"]);
        assert_eq!(complete("help ev"), ["evidence"]);
        assert_eq!(complete("status t"), ["tm"]);
        assert_eq!(complete("join "), ["$token"]);
    }

    #[test]
    fn nothing_is_completed_where_nothing_is_known() {
        assert!(complete("frobnicate left").is_empty());
        assert!(complete("transfer left/alice right/bob 3").is_empty());
    }
}
