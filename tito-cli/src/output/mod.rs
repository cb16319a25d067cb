//! What a command says: tables and lines for people, JSON for programs.

mod escape;
mod progress;
mod table;
mod time;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub(crate) use escape::{visible, visible_json, visible_lines};
pub(crate) use progress::Bar;
pub(crate) use table::Table;
pub(crate) use time::{duration, moment, moment_of_seconds, parse_duration, parse_moment};

use crate::failure::{Failure, Result};

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where answers go, and how.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    is_json: bool,
    is_coloured: bool,
    width: Option<usize>,
}

impl Output {
    pub(crate) fn new(is_json: bool, colour: Colour) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_coloured = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        };
        Self { is_json, is_coloured, width: width(is_terminal) }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// A document of JSON, where that was asked for; otherwise what `people` says.
    pub(crate) fn answer(&self, json: &impl Serialize, people: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        if self.is_json { self.json(json, true) } else { people(self) }
    }

    /// A value as JSON: a document on several lines, or one line of many.
    pub(crate) fn json(&self, json: &impl Serialize, is_document: bool) -> Result<()> {
        let text = if is_document { serde_json::to_string_pretty(json) } else { serde_json::to_string(json) };
        let text = text.map_err(|error| Failure::new(crate::failure::Kind::Failed, "no JSON").because(error))?;
        self.raw(&(visible_json(&text) + "\n"))
    }

    /// A table, or what is said where it is empty.
    pub(crate) fn table(&self, table: &Table, if_empty: &str) -> Result<()> {
        if table.is_empty() {
            return self.line(if_empty);
        }
        let lines = table.lines(self.width, |title| self.bold(title));
        self.raw(&(lines.join("\n") + "\n"))
    }

    /// A line of our own, in which the text of others was made [`visible`].
    pub(crate) fn line(&self, line: impl AsRef<str>) -> Result<()> {
        self.raw(&format!("{}\n", line.as_ref()))
    }

    /// Names and values below one another.
    pub(crate) fn fields<'a>(&self, fields: impl IntoIterator<Item = (&'a str, String)>) -> Result<()> {
        let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let longest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in fields {
            let space = " ".repeat(longest - name.len() + 2);
            self.line(format!("{}{space}{}", self.bold(name), visible(&value)))?;
        }
        Ok(())
    }

    /// A title and a table, again and again: on a terminal in the place of the one before, as much of it as the terminal shows
    /// by now.
    pub(crate) fn frame(&self, title: &str, table: &Table, if_empty: &str) -> Result<()> {
        let is_terminal = io::stdout().is_terminal();
        let width = width(is_terminal);
        let title = width.map_or_else(|| title.to_string(), |width| table::shortened(title, width));
        let mut lines = vec![self.bold(&title)];
        if table.is_empty() {
            lines.push(if_empty.to_string());
        } else {
            lines.extend(table.lines(width, |title| self.bold(title)));
        }
        let size = is_terminal.then(terminal_size::terminal_size).flatten();
        // The cursor takes the last line.
        let height = size.map_or(usize::MAX, |(_, terminal_size::Height(rows))| usize::from(rows).saturating_sub(1));
        let start = if is_terminal { "\x1b[H\x1b[2J" } else { "" };
        self.raw(&format!("{start}{}\n", fitting(lines, height).join("\n")))
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    pub(crate) fn styled(&self, style: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }

    pub(crate) fn raw(&self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::output)
    }
}

/// Something that is not part of the answer, such as what can be done next. Not for programs.
pub(crate) fn note(text: impl AsRef<str>) {
    // Nobody is left to be told if this fails.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// As many of the lines as there is space for, and how many are left out.
fn fitting(mut lines: Vec<String>, height: usize) -> Vec<String> {
    if lines.len() > height.max(1) {
        let left_out = lines.len() - height.max(1) + 1;
        lines.truncate(height.max(1) - 1);
        lines.push(format!("… {left_out} more"));
    }
    lines
}

/// How many columns there are: as `COLUMNS` says, or the terminal. Without either lines are as long as they are.
fn width(is_terminal: bool) -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    set.or_else(|| {
        let (terminal_size::Width(columns), _) = is_terminal.then(terminal_size::terminal_size).flatten()?;
        Some(usize::from(columns).max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let lines = |number: usize| (0..number).map(|line| line.to_string()).collect::<Vec<_>>();
        assert_eq!(fitting(lines(3), 3), ["0", "1", "2"]);
        assert_eq!(fitting(lines(4), 3), ["0", "1", "… 2 more"]);
        for height in [0, 1] {
            assert_eq!(fitting(lines(4), height), ["… 4 more"]);
        }
    }
}
