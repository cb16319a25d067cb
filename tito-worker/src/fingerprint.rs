//! What errors have in common that differ in numbers, ids and quoted texts only.

use xxhash_rust::xxh3::xxh3_64;

/// How much of an error's text is looked at, in bytes.
pub(crate) const LONGEST_FOLDED: usize = 65_536;

/// A run of letters and digits this long, with both in it, is no word but an id.
const SHORTEST_ID: usize = 16;

/// A run of hexadecimal digits this long, with a decimal one in it, is an id.
const SHORTEST_HEX: usize = 6;

/// Of a text: 16 hexadecimal digits.
pub(crate) fn fingerprint(text: &str) -> String {
    format!("{:016x}", xxh3_64(fold(text).as_bytes()))
}

/// The text with `#` for each number, UUID and id, `"…"` for each quoted text, and one space for white space.
pub(crate) fn fold(text: &str) -> String {
    let mut rest = &text[..cut_at(text, LONGEST_FOLDED)];
    let mut folded = String::with_capacity(rest.len());
    let mut before = ' ';
    // Quotes that none closes from here on, so that a text of nothing else is not searched anew for each of them.
    let mut unclosed = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = quoted(before, rest, &mut unclosed) {
            folded.push_str("\"…\"");
            length
        } else if let Some(length) = uuid(before, rest) {
            push_number(&mut folded);
            length
        } else if first.is_alphanumeric() {
            let run = rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len());
            fold_run(&rest[..run], &mut folded);
            run
        } else if first.is_whitespace() {
            folded.push(' ');
            rest.find(|next: char| !next.is_whitespace()).unwrap_or(rest.len())
        } else {
            folded.push(first);
            first.len_utf8()
        };
        before = rest[..length].chars().next_back().unwrap_or(first);
        rest = &rest[length..];
    }
    folded
}

/// Where a text can be cut so that at most so many bytes are left.
pub(crate) fn cut_at(text: &str, most: usize) -> usize {
    let boundary = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    boundary.expect("a text can be cut at 0")
}

/// One `#` for what is a number with the one before it: the parts of a decimal, of an address, of thousands, a sign.
fn push_number(folded: &mut String) {
    let kept = folded.trim_end_matches(['.', ',']).len();
    if folded.len() - kept <= 1 && folded[..kept].ends_with('#') {
        folded.truncate(kept);
    } else {
        let before_sign = folded.strip_suffix(['-', '+']).map(str::len);
        let is_sign =
            |at: usize| folded[..at].chars().next_back().is_none_or(|one| !one.is_alphanumeric() && one != '#');
        if let Some(at) = before_sign.filter(|at| is_sign(*at)) {
            folded.truncate(at);
        }
        folded.push('#');
    }
}

/// A run of letters and digits.
fn fold_run(run: &str, folded: &mut String) {
    let has_digit = run.chars().any(|one| one.is_ascii_digit());
    let is_hex = |run: &str| run.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_long_hex = is_hex(run) && (run.len() >= SHORTEST_ID || has_digit && run.len() >= SHORTEST_HEX);
    let is_hex_number = run.strip_prefix("0x").is_some_and(is_hex);
    if is_long_hex
        || is_hex_number
        || (has_digit && run.len() >= SHORTEST_ID)
        || run.bytes().all(|b| b.is_ascii_digit())
    {
        return push_number(folded);
    }
    let mut in_number = false;
    for one in run.chars() {
        let is_digit = one.is_ascii_digit();
        if is_digit && !in_number {
            push_number(folded);
        } else if !is_digit {
            folded.push(one);
        }
        in_number = is_digit;
    }
}

/// How long a quoted text is that begins here.
fn quoted(before: char, text: &str, unclosed: &mut Vec<char>) -> Option<usize> {
    let quote = text.chars().next().filter(|one| matches!(one, '"' | '\'' | '`'))?;
    // Not the apostrophe of a word.
    if before.is_alphanumeric() || unclosed.contains(&quote) {
        return None;
    }
    let mut is_escaped = false;
    for (at, one) in text.char_indices().skip(1) {
        if one == quote && !is_escaped {
            let end = at + one.len_utf8();
            let is_apostrophe = quote == '\'' && text[end..].starts_with(char::is_alphanumeric);
            if !is_apostrophe {
                return Some(end);
            }
        }
        is_escaped = one == '\\' && !is_escaped;
    }
    unclosed.push(quote);
    None
}

/// How long a UUID is that begins here.
fn uuid(before: char, text: &str) -> Option<usize> {
    const LENGTH: usize = 36;
    let candidate = text.get(..LENGTH)?;
    let ends = !text[LENGTH..].starts_with(char::is_alphanumeric);
    let is_uuid = candidate.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (is_uuid && ends && !before.is_alphanumeric()).then_some(LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_from_one_event_to_the_next_is_folded() {
        for (text, folded) in [
            ("", ""),
            ("no connection to 10.0.0.17:5432", "no connection to #:#"),
            ("took 1.5s of 30s", "took #s of #s"),
            ("took 2s of 30s", "took #s of #s"),
            ("user 018bcfe5-6800-7000-8000-000000000000 is gone", "user # is gone"),
            ("user-018bcfe5-6800-7000-8000-000000000000", "user-#"),
            ("at 0x7ffe12 in deadbeef12", "at # in #"),
            ("commit 5c05e39ec8fe9a3b1c0de34fbd8ee1c0f31d7c11", "commit #"),
            ("id 01ARZ3NDEKTSV4RRFFQ69G5FAV", "id #"),
            ("id 01BX5ZZKBKACTAV9WJG2KZ5T00", "id #"),
            (r#"no row "user:17 \"a\"" in 'users'"#, "no row \"…\" in \"…\""),
            ("can't find user17, don't retry", "can't find user#, don't retry"),
            ("it's 'ada's mail' again", "it's \"…\" again"),
            ("an unclosed \"quote", "an unclosed \"quote"),
            ("balance -5 is below 1,000.50", "balance # is below #"),
            ("a  b\n\tc", "a b c"),
            ("error 404. 17 more", "error #. # more"),
            ("größe 7 🎈", "größe # 🎈"),
            ("accede to the facade", "accede to the facade"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn other_errors_have_other_fingerprints() {
        let [timeout, other_timeout, refused] =
            ["timeout after 17 ms", "timeout after 4 ms", "refused after 17 ms"].map(fingerprint);
        assert_eq!(timeout, other_timeout);
        assert_ne!(timeout, refused);
        assert_eq!(timeout.len(), 16);
        // It is stored, so it stays the same from release to release.
        assert_eq!(fingerprint("timeout after # ms"), timeout);
    }

    /// Searched to its end for each quote, such a text would take a thousand million steps.
    #[test]
    fn quotes_that_are_never_closed_are_searched_for_once() {
        for text in [" 'a".repeat(21_000), " \"`".repeat(20_000), "\\\"".repeat(30_001), " `".repeat(32_001)] {
            let mut looks = Vec::new();
            assert!(quoted(' ', &text[1..], &mut looks).is_none_or(|length| length < 10), "{}", &text[..9]);
            assert!(fold(&text).len() <= 3 * LONGEST_FOLDED);
        }
        let mut unclosed = Vec::new();
        assert_eq!(quoted(' ', "'a 'b", &mut unclosed), None);
        assert_eq!(unclosed, ['\'']);
        assert_eq!(quoted(' ', "'b", &mut unclosed), None);
        assert_eq!(quoted(' ', "\"b\"", &mut unclosed), Some(3));
    }

    proptest! {
        #[test]
        fn any_text_can_be_folded_and_what_is_folded_stays(text in "(\\PC|[0-9a-f'\"`.,\\- ]){0,80}") {
            let folded = fold(&text);
            prop_assert!(!folded.chars().any(|one| one.is_ascii_digit()), "{folded}");
        }
    }
}
