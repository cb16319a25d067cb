//! The tests that the list of rules names exist.

const RULES: &str = include_str!("../../../RULES.md");

const TESTS: [&str; 9] = [
    include_str!("async_commit.rs"),
    include_str!("commit.rs"),
    include_str!("differences.rs"),
    include_str!("garbage.rs"),
    include_str!("pessimistic.rs"),
    include_str!("prewrite.rs"),
    include_str!("read.rs"),
    include_str!("resolve.rs"),
    include_str!("status.rs"),
];

#[test]
fn every_test_that_the_list_of_rules_names_is_there() {
    let rows = RULES.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule"));
    let mut named = 0;
    for row in rows {
        let column = row.rsplit('|').nth(1).unwrap_or_default();
        let names = column.split('`').skip(1).step_by(2);
        let names = names.map(|name| name.rsplit("::").next().unwrap_or(name).trim_end_matches('*'));
        for name in names.filter(|name| name.matches('_').count() > 2) {
            named += 1;
            let start = format!("fn {name}");
            assert!(TESTS.iter().any(|source| source.contains(&start)), "no test {name}");
        }
    }
    assert!(named > 30, "only {named} are named");
}
