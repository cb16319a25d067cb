//! What the derives say of what they do not accept, and what the compiler says of the mistakes that newcomers make with the
//! library. The programs beside these that are accepted are test programs of their own.

/// After a change of a message: run it with `TRYBUILD=overwrite` and read the differences. It is one test, so that all
/// programs are checked at once, with dependencies that are checked once.
#[test]
fn what_is_refused_is_so_by_clear_words() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.compile_fail("tests/ui/event/fail/*.rs");
    // A mistake is one error that names the remedy.
    cases.compile_fail("tests/mistakes/*.rs");
}
