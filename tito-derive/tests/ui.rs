//! What `#[derive(TitoModel)]` accepts, and what it says of what it does not.

/// After a change of a message: run it with `TRYBUILD=overwrite` and read the differences.
#[test]
fn the_derive_accepts_what_it_should_and_says_clearly_what_it_does_not() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
