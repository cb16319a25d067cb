//! Text of others on a terminal: names, payloads and errors can hold what would move the cursor, colour the screen or turn
//! the direction of the text round.

use std::fmt::Write as _;

/// Whether a character does something else than to be seen.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text in one line in which everything can be seen.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            character if is_hidden(character) => {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            character => shown.push(character),
        }
    }
    shown
}

/// Like [`visible`], with the lines that the text has: for messages which are made of several.
pub(crate) fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// JSON that says the same and has nothing hidden in it. Outside of strings only white space can be hidden, which becomes
/// spaces but for the ends of lines.
pub(crate) fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let (mut is_in_string, mut is_escaped) = (false, false);
    for character in json.chars() {
        if is_hidden(character) && is_in_string {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else if is_hidden(character) && character != '\n' {
            shown.push(' ');
        } else {
            shown.push(character);
        }
        is_in_string ^= character == '"' && !is_escaped;
        is_escaped = is_in_string && character == '\\' && !is_escaped;
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(visible("a\x1b[31mb\u{9b}c\u{202e}d\ne"), r"a\u{1b}[31mb\u{9b}c\u{202e}d\ne");
        assert_eq!(visible("Zoë ☂ 雨"), "Zoë ☂ 雨");
    }

    #[test]
    fn json_stays_what_it_was() {
        let hostile = "a\u{1b}\u{7f}\u{9b}\u{202e}\u{e0041}b\n";
        let json = visible_json(&serde_json::to_string(hostile).unwrap());
        assert!(json.chars().all(|character| !is_hidden(character)), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
    #[test]
    fn white_space_between_the_parts_of_json_stays_that() {
        let raw = "{\t\"a\\\\\":\r\n[1,\t\"\\\"\u{9b}\"]}";
        let json = visible_json(raw);
        assert!(json.chars().all(|character| !is_hidden(character) || character == '\n'), "{json}");
        let (before, after): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(raw).unwrap(), serde_json::from_str(&json).unwrap());
        assert_eq!(after, before);
    }
}
