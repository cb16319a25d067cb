//! What the derives accept, and what they say of what they do not.

/// After a change of a message: run it with `TRYBUILD=overwrite` and read the differences.
#[test]
fn the_derives_accept_what_they_should_and_say_clearly_what_they_do_not() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/event/pass/*.rs");
    cases.compile_fail("tests/ui/event/fail/*.rs");
}
