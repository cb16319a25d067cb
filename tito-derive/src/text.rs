//! Texts within attributes: durations and names.

/// Event times have ten digits.
const LONGEST_DELAY_SECONDS: u64 = 9_999_999_999;

/// The seconds of a duration such as `90s`, `1h30m` or `7d`.
pub(crate) fn duration_seconds(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str =
        "expected whole numbers with the units d, h, m or s, the largest first, such as \"90s\" or \"1h30m\"";
    let mut total: u64 = 0;
    let mut smallest_so_far = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let mut tail = tail.chars();
        let unit = match tail.next() {
            Some('d') => 86_400,
            Some('h') => 3_600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(EXPECTED),
        };
        if number.is_empty() || unit >= smallest_so_far {
            return Err(EXPECTED);
        }
        // All digits, so that only its size can make a number unreadable.
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        total = seconds
            .and_then(|seconds| total.checked_add(seconds))
            .filter(|total| *total <= LONGEST_DELAY_SECONDS)
            .ok_or("it is longer than an event's time can be, which is 9,999,999,999 s")?;
        smallest_so_far = unit;
        rest = tail.as_str();
    }
    if text.is_empty() { Err(EXPECTED) } else { Ok(total) }
}

/// `OrgUser` as `org_user`, `HTTPServer` as `http_server`.
pub(crate) fn snake_case(name: &str) -> String {
    lower_case(name, '_')
}

/// `MoneyDeposited` as `money-deposited`.
pub(crate) fn kebab_case(name: &str) -> String {
    lower_case(name, '-').replace('_', "-")
}

fn lower_case(name: &str, between_words: char) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut lower = String::new();
    for (position, &character) in characters.iter().enumerate() {
        if character.is_uppercase() && position > 0 {
            let before = characters[position - 1];
            let word_ends_before = before.is_lowercase() || before.is_numeric();
            let word_begins_here =
                before.is_uppercase() && characters.get(position + 1).is_some_and(|after| after.is_lowercase());
            if word_ends_before || word_begins_here {
                lower.push(between_words);
            }
        }
        lower.extend(character.to_lowercase());
    }
    lower
}

/// Why a table or an event can't have this name, by the rules that `tito-core` checks at run time too.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 255 {
        Some("it is longer than 255 bytes")
    } else if name.contains(':') {
        Some("it contains ':', which separates the parts of keys")
    } else if name.chars().any(char::is_control) {
        Some("it contains a control character")
    } else {
        None
    }
}

/// Why an event can't have this name.
pub(crate) fn event_name_fault(name: &str) -> Option<&'static str> {
    let at = "it contains '@', which separates a topic from a group";
    name_fault(name).or_else(|| name.contains('@').then_some(at))
}

/// Why an event of an event store can't have this name, by the rules that `tito-eventstore` checks at run time too.
pub(crate) fn token_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 255 {
        Some("it is longer than 255 bytes")
    } else if name.contains('.') {
        Some("it contains '.', which separates tokens")
    } else if name.contains(['*', '>']) {
        Some("it contains '*' or '>', which stand for other tokens")
    } else if name.chars().any(char::is_whitespace) {
        Some("it contains white space")
    } else if name.chars().any(char::is_control) {
        Some("it contains a control character")
    } else {
        None
    }
}

/// Why an index can't have this name: its handle is a constant with the name in upper case.
pub(crate) fn index_name_fault(name: &str) -> Option<&'static str> {
    name_fault(name).or_else(|| {
        let begins_well = name.starts_with(|first: char| first.is_alphabetic());
        let is_identifier = syn::parse_str::<syn::Ident>(&name.to_uppercase()).is_ok();
        let is_lower_case = !name.chars().any(char::is_uppercase);
        let fault = "it is not an identifier in snake_case, which its handle is named after";
        (!begins_well || !is_identifier || !is_lower_case).then_some(fault)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_duration_is_a_sum_of_whole_units() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("1h", 3_600), ("1h30m", 5_400), ("1d1h1m1s", 90_061), ("007m", 420)]
        {
            assert_eq!(duration_seconds(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "1", "h", "1 h", "-1h", "1.5h", "1ms", "1w", "1H", "30m1h", "1h1h", "1h30", "½h", "1h "] {
            assert!(duration_seconds(text).unwrap_err().starts_with("expected whole numbers"), "{text}");
        }
    }

    #[test]
    fn a_duration_past_the_format_is_refused() {
        assert_eq!(duration_seconds("9999999999s"), Ok(LONGEST_DELAY_SECONDS));
        for text in ["10000000000s", "9999999999s1s", "99999999999999999999d", "9223372036854775807d"] {
            assert!(duration_seconds(text).is_err(), "{text}");
        }
        assert!(duration_seconds("115740d9999999999s").unwrap_err().contains("9,999,999,999 s"));
    }

    #[test]
    fn type_names_become_tables_in_snake_case() {
        for (name, table) in [
            ("User", "user"),
            ("OrgUser", "org_user"),
            ("HTTPServer", "http_server"),
            ("ServerHTTP", "server_http"),
            ("User2Role", "user2_role"),
            ("A", "a"),
            ("already_snake", "already_snake"),
            ("Größe", "größe"),
        ] {
            assert_eq!(snake_case(name), table);
        }
    }

    #[test]
    fn variants_become_event_types_in_kebab_case() {
        for (name, event_type) in
            [("MoneyDeposited", "money-deposited"), ("Opened", "opened"), ("HTTPCalled", "http-called"), ("a_b", "a-b")]
        {
            assert_eq!(kebab_case(name), event_type);
        }
    }

    #[test]
    fn event_types_are_tokens() {
        for name in ["money-deposited", "größe", "a:b@c", &"a".repeat(255)] {
            assert_eq!(token_fault(name), None, "{name}");
        }
        for name in ["", "a.b", "*", "a>", "a b", "a\u{a0}b", "a\nb", "a\0", &"a".repeat(256)] {
            assert!(token_fault(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn index_names_are_identifiers_in_snake_case() {
        for name in ["by_email", "email", "type", "by_2", "größe"] {
            assert_eq!(index_name_fault(name), None, "{name}");
        }
        for name in ["", "by email", "By_email", "2", "_", "_by", "by-email", "by:email", "by.email"] {
            assert!(index_name_fault(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn event_names_keep_clear_of_the_separators_of_keys_and_groups() {
        assert_eq!(event_name_fault("user.created v2"), None);
        for name in ["", "a:b", "a@b", "a\nb", "a\0"] {
            assert!(event_name_fault(name).is_some(), "{name:?}");
        }
    }
}
