//! Patterns beside a matcher that is slow and obvious.

use proptest::prelude::*;
use tito_eventstore::{EventStoreError, Pattern};

/// Splits both into three tokens, and looks at one after another.
fn obviously_matches(pattern: &str, subject: &str) -> bool {
    let mut wanted: Vec<&str> = pattern.split('.').collect();
    while wanted.len() < 3 {
        wanted.push("*");
    }
    let found: Vec<&str> = subject.split('.').collect();
    let mut matches = true;
    for place in 0..3 {
        if wanted[place] != "*" && wanted[place] != found[place] {
            matches = false;
        }
    }
    matches
}

/// Few tokens, so that many meet, and some that begin alike.
fn token() -> impl Strategy<Value = String> {
    prop_oneof!["a", "b", "ab", "a-b", "é", "🎈", "[a-c]{1,3}"].prop_map(|token| token.to_string())
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => token(), 2 => Just("*".to_string())];
    proptest::collection::vec(part, 1..=3).prop_map(|parts| parts.join("."))
}

proptest! {
    #[test]
    fn a_pattern_selects_what_it_obviously_should(pattern in pattern(), tokens in [token(), token(), token()]) {
        let subject = tokens.join(".");
        let parsed: Pattern = pattern.parse().unwrap();
        prop_assert_eq!(parsed.matches(&tokens[0], &tokens[1], &tokens[2]), obviously_matches(&pattern, &subject));
    }

    #[test]
    fn a_pattern_is_written_with_all_three_tokens_and_read_back(pattern in pattern()) {
        let parsed: Pattern = pattern.parse().unwrap();
        let shown = parsed.to_string();
        prop_assert_eq!(shown.split('.').count(), 3);
        prop_assert!(shown.starts_with(&pattern));
        prop_assert_eq!(shown.parse::<Pattern>().unwrap(), parsed);
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error(text in ".{0,40}") {
        let tokens: Vec<&str> = text.split('.').collect();
        let is_good = |token: &&str| {
            *token == "*"
                || !token.is_empty()
                    && !token.contains(['*', '>'])
                    && !token.chars().any(|character| character.is_whitespace() || character.is_control())
        };
        match text.parse::<Pattern>() {
            Ok(_) => prop_assert!(tokens.len() <= 3 && tokens.iter().all(is_good)),
            Err(EventStoreError::SubjectTooManyTokens { tokens: found, .. }) => {
                prop_assert!(found == tokens.len() && found > 3);
            }
            Err(EventStoreError::PatternInvalid { .. }) => {
                prop_assert!(tokens.len() <= 3 && !tokens.iter().all(is_good));
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }
}
