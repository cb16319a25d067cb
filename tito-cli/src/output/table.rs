//! Tables for people.
//!
//! A table that is wider than the terminal first shortens its longest columns; where that is not enough, each row becomes a
//! block of lines.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::escape::visible;

/// The space between two columns.
const GAP: usize = 2;

/// What a column is never shortened below, however narrow the terminal is.
const NARROWEST: usize = 10;

/// A table. Cells are shown with everything in them visible.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    title: &'static str,
    is_number: bool,
}

impl Table {
    /// A table with these columns. Numbers, whose titles begin with `#`, stand at the right.
    pub(crate) fn new(titles: impl IntoIterator<Item = &'static str>) -> Self {
        let column = |title: &'static str| match title.strip_prefix('#') {
            Some(title) => Column { title, is_number: true },
            None => Column { title, is_number: false },
        };
        Self { columns: titles.into_iter().map(column).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().map(|cell| visible(&cell)).collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines; of a width, if there is one. `title` styles the titles.
    pub(crate) fn lines(&self, width: Option<usize>, title: impl Fn(&str) -> String) -> Vec<String> {
        let Some(widths) = self.widths(width) else { return self.blocks(width.unwrap_or_default(), title) };
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_string()).collect();
        lines.push(title(&self.line(&titles, &widths)));
        lines.extend(self.rows.iter().map(|row| self.line(row, &widths)));
        lines
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), width) in cells.iter().zip(&self.columns).zip(widths) {
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            let cell = shortened(cell, *width);
            let space = " ".repeat(width.saturating_sub(cell.width()));
            if column.is_number {
                line.push_str(&space);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&space);
            }
        }
        line.trim_end().to_string()
    }

    /// How wide each column is; `None` if the terminal is too narrow for a table.
    fn widths(&self, limit: Option<usize>) -> Option<Vec<usize>> {
        let widest = |at: usize, column: &Column| {
            let cells = self.rows.iter().map(|row| row[at].width());
            cells.chain([column.title.width()]).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(|(at, column)| widest(at, column)).collect();
        let Some(limit) = limit else { return Some(widths) };
        let gaps = GAP * widths.len().saturating_sub(1);
        loop {
            let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
            if over == 0 {
                return Some(widths);
            }
            // Numbers are not cut: a shortened one is another number.
            let longest = (0..widths.len()).filter(|at| !self.columns[*at].is_number).max_by_key(|at| widths[*at])?;
            if widths[longest] <= NARROWEST {
                return None;
            }
            let others = widths.iter().enumerate().filter(|(at, _)| *at != longest && !self.columns[*at].is_number);
            let next = others.map(|(_, width)| *width).max().unwrap_or(NARROWEST).max(NARROWEST);
            // Down to the next longest, so that the longest ones share what has to go.
            let step = over.min(widths[longest].saturating_sub(next).max(1));
            widths[longest] -= step;
        }
    }

    fn blocks(&self, width: usize, title: impl Fn(&str) -> String) -> Vec<String> {
        let indent = self.columns.iter().map(|column| column.title.width()).max().unwrap_or_default() + 1;
        let mut lines = Vec::new();
        for row in &self.rows {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            for (cell, column) in row.iter().zip(&self.columns).filter(|(cell, _)| !cell.is_empty()) {
                let space = " ".repeat(indent - column.title.width());
                let rest = width.saturating_sub(indent).max(NARROWEST);
                lines.push(format!("{}{space}{}", title(column.title), shortened(cell, rest)));
            }
        }
        lines
    }
}

/// A text of at most this width, with a sign where something was cut off.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut shown = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or_default();
        if used > width {
            break;
        }
        shown.push(character);
    }
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["QUEUE", "#PENDING", "ERROR"]);
        table.row(["welcome".to_string(), "12".to_string(), "the mail server is busy: try again later".to_string()]);
        table.row(["雨".to_string(), "1234567".to_string(), "\x1b[2J".to_string()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let lines = table().lines(None, str::to_string);
        assert_eq!(
            lines,
            [
                "QUEUE    PENDING  ERROR",
                "welcome       12  the mail server is busy: try again later",
                "雨       1234567  \\u{1b}[2J",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_shortens_the_longest_column() {
        let lines = table().lines(Some(30), str::to_string);
        assert_eq!(lines[1], "welcome       12  the mail se…");
        assert!(lines.iter().all(|line| line.width() <= 30), "{lines:#?}");
    }

    #[test]
    fn a_terminal_too_narrow_for_columns_gets_blocks() {
        let lines = table().lines(Some(20), str::to_string);
        let expected = ["QUEUE   welcome", "PENDING 12", "ERROR   the mail se…", "", "QUEUE   雨", "PENDING 1234567"];
        assert_eq!(lines[..6], expected);
        assert!(lines.iter().all(|line| line.width() <= 20), "{lines:#?}");
    }
}
