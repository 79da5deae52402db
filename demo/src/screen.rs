//! Where text goes: data to standard output, talk to standard error, or all of it around a prompt.

use std::io::{self, Write};

use crate::{
    cluster::Echo,
    command::words::shown,
    failure::Failure,
    render,
    report::{Line, Report},
};

/// How much of a line is repeated where it failed: all that a person types, and no flood.
const LINE_SHOWN: usize = 200;

/// Who reads what a console writes.
pub(crate) enum Screen {
    /// A program: one JSON object a line, and nothing else.
    Json,
    /// A person or a file: text, without a prompt.
    Text,
    /// A person at a prompt, which the text must not garble.
    Prompt(Box<dyn FnMut(String) -> io::Result<()>>),
}

impl Screen {
    /// Writes what a command gave.
    pub(crate) fn line(&mut self, line: &Line) -> io::Result<()> {
        if let Self::Json = self {
            return data(&format!("{}\n", line.json()));
        }
        if let Some(result) = &line.result {
            self.report(result)?;
        }
        line.error.as_ref().map_or(Ok(()), |error| self.failure(&line.command, error))
    }

    fn report(&mut self, report: &Report) -> io::Result<()> {
        let text = render::report(report);
        if let Self::Prompt(print) = self { print(text) } else { data(&text) }
    }

    fn failure(&mut self, command: &str, failure: &Failure) -> io::Result<()> {
        let text = render::failure(failure);
        if let Self::Prompt(print) = self {
            print(text)
        } else {
            talk(&format!("{text}  in:   {}\n", shown(command, LINE_SHOWN)))
        }
    }

    /// Writes words that are nobody's result. A program does not want them.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Json => Ok(()),
            Self::Text => talk(text),
            Self::Prompt(print) => print(text.to_owned()),
        }
    }

    /// Writes what replicas said.
    pub(crate) fn echoes(&mut self, echoes: &[Echo]) -> io::Result<()> {
        if echoes.is_empty() { Ok(()) } else { self.say(&render::echoes(echoes)) }
    }
}

/// Writes to standard output, at once: a pipe's reader may wait for it.
pub(crate) fn data(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes to standard error.
pub(crate) fn talk(text: &str) -> io::Result<()> {
    anstream::stderr().lock().write_all(text.as_bytes())
}
