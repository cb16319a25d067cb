//! Panics of what applications bring.

use std::any::Any;

/// What a panic says. It is not dropped, as that may panic in its turn.
pub(crate) fn text_of(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_string();
    std::mem::forget(panic);
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::panic::{catch_unwind, panic_any};

    use super::*;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("again");
        }
    }

    #[test]
    fn a_panic_whose_payload_panics_when_it_is_dropped_is_one_panic() {
        let panic = catch_unwind(|| panic_any(PanicsWhenDropped)).unwrap_err();
        assert_eq!(text_of(panic), "no message");
        assert_eq!(text_of(catch_unwind(|| panic!("{}", 17)).unwrap_err()), "17");
        assert_eq!(text_of(catch_unwind(|| panic!("text")).unwrap_err()), "text");
    }
}
