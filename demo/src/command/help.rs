//! What the table says about itself: usage lines, the help, and the page of the manual.

use std::fmt::Write;

use super::table::{Entry, Shape, TABLE};
use crate::cluster::{
    FaultKind,
    kind::{does, reaches},
};

impl Entry {
    /// How the command is written.
    pub(crate) fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        for shape in self.required {
            let _ = write!(usage, " {}", shape.name());
        }
        for shape in self.optional {
            let _ = write!(usage, " [{}]", shape.name());
        }
        for flag in self.flags {
            let value = flag.value.map(|value| format!(" {value}")).unwrap_or_default();
            let _ = write!(usage, " [{}{value}]", flag.name);
        }
        usage
    }

    /// What can stand at a place.
    pub(crate) fn shape(&self, place: usize) -> Option<Shape> {
        self.required.iter().chain(self.optional).nth(place).copied()
    }

    /// The place at which a text begins that takes all the words that follow.
    pub(crate) fn text_from(&self) -> Option<usize> {
        self.required.iter().chain(self.optional).position(|it| matches!(it, Shape::Text(_)))
    }

    /// All there is to say about the command.
    pub(crate) fn explain(&self) -> String {
        let mut text = format!("{}\n  {}\n", self.usage(), self.about);
        if !self.more.is_empty() {
            let _ = writeln!(text, "  {}", self.more);
        }
        if self.name == "fault" {
            for kind in FaultKind::ALL {
                let _ = writeln!(text, "  {:<16} {}; {}", kind.name(), does(kind), reaches(kind));
            }
        }
        let _ = writeln!(text, "  example: {}", self.example);
        text
    }
}

/// One line a command.
pub(crate) fn overview() -> String {
    let width = TABLE.iter().map(|entry| entry.usage().len()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in TABLE {
        let _ = writeln!(text, "  {:<width$}  {}", entry.usage(), entry.about);
    }
    text.push_str("`help CMD` explains one. Tab completes, Ctrl-C cancels, Ctrl-D leaves.\n");
    text
}

/// The page of the manual about the console, in Markdown.
pub(crate) fn manual() -> String {
    let mut page = String::from(
        "# The console\n\n\
         One command a line; `#` begins a comment, double quotes keep words together. This page is \
         printed by `maftia manual`.\n\n\
         | command | does |\n|---|---|\n",
    );
    for entry in TABLE {
        let usage = entry.usage().replace('|', "\\|");
        let more = if entry.more.is_empty() { "" } else { ". " };
        let about = format!("{}{more}{}", entry.about, entry.more).replace('|', "\\|");
        let _ = writeln!(page, "| `{usage}` | {about} |");
    }
    page.push_str("\n| fault | does | evidence it can reach |\n|---|---|---|\n");
    for kind in FaultKind::ALL {
        let _ = writeln!(page, "| `{}` | {} | {} |", kind.name(), does(kind), reaches(kind));
    }
    page
}
