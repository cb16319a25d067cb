//! What the compiler says of the mistakes that newcomers make.

/// After a change of a message: run it with `TRYBUILD=overwrite` and read the differences.
#[test]
fn a_mistake_is_one_error_that_names_the_remedy() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/mistakes/*.rs");
}
