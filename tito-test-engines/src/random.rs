//! Seeds for random tests.

/// The seed of a random test: `TITO_SEED` from the environment, to repeat a failed test, or a new one. It is printed,
/// and the test harness shows it if the test fails.
///
/// # Panics
/// If `TITO_SEED` is not a number.
#[allow(clippy::print_stderr, reason = "for tests, whose output shows the seed")]
pub fn seed() -> u64 {
    let seed = match std::env::var("TITO_SEED") {
        Ok(text) => text.parse().expect("TITO_SEED has to be a number from 0 to 2^64 - 1"),
        Err(_) => fastrand::u64(..),
    };
    eprintln!("at random; to run it again: TITO_SEED={seed}");
    seed
}
