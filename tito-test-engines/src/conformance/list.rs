//! All facts, and the macro that makes them tests.

use futures::future::LocalBoxFuture;

use super::{Opener, facts, run};

tito_test_macros::conformance_facts!("src/conformance/facts");

/// The names of all facts.
#[doc(hidden)]
pub fn names() -> impl Iterator<Item = &'static str> {
    FACTS.iter().map(|(name, _)| *name)
}

/// Runs one fact on an engine.
///
/// # Panics
/// If the engine violates it, or no fact has this name.
#[doc(hidden)]
pub fn check(engine: Opener, name: &str) {
    let fact = FACTS.iter().find(|(fact, _)| *fact == name);
    let (_, fact) = fact.unwrap_or_else(|| unreachable!("no fact is called {name}"));
    run(fact(engine));
}

/// Runs the whole conformance suite as tests of one engine: `conformance!(name_of_the_module, TypeOfTheEngine)`, where
/// the type is an [`EngineUnderTest`](crate::conformance::EngineUnderTest).
#[macro_export]
macro_rules! conformance {
    ($module:ident, $engine:ty) => {
        $crate::__every_fact!($crate::__fact_tests, $module, $engine);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __fact_tests {
    ($module:ident, $engine:ty; $($idea:ident { $($fact:ident)* })*) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            const ENGINE: $crate::conformance::Opener = $crate::conformance::Opener::of::<$engine>();

            $(mod $idea {
                $(#[test]
                fn $fact() {
                    $crate::conformance::check(super::ENGINE, concat!(stringify!($idea), "::", stringify!($fact)));
                })*
            })*
        }
    };
}
