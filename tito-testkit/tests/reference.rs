//! The conformance suite is neutral: a second engine passes it. And it is worth its time: each of its facts fails on
//! an engine with a flaw that the fact is about.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/flaw.rs"]
mod flaw;
#[path = "support/reference.rs"]
mod reference;

use std::panic::{AssertUnwindSafe, catch_unwind};

use flaw::Flaw;
use reference::{Data, ReferenceEngine};
use tito_core::{Database, Result};
use tito_testkit::EngineSettings;
use tito_testkit::conformance::{EngineUnderTest, facts, run};

/// Tells which flaw the engine under test has.
trait Variant: Send + Sync + 'static {
    const FLAW: Flaw;
}

struct Reference<V>(ReferenceEngine, std::marker::PhantomData<V>);

impl<V: Variant> EngineUnderTest for Reference<V> {
    async fn open(settings: EngineSettings) -> Result<Self> {
        let engine = ReferenceEngine::open(V::FLAW, Data::default(), settings);
        Ok(Self(engine, std::marker::PhantomData))
    }

    fn database(&self) -> Database {
        Database::from_engine(self.0.clone())
    }

    async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        Ok(Some(Self(self.0.reopen(settings), std::marker::PhantomData)))
    }
}

struct Flawless;

impl Variant for Flawless {
    const FLAW: Flaw = Flaw::None;
}

tito_testkit::conformance!(flawless, Reference<Flawless>);

/// Which facts find which flaw: a test for each flaw, and the list of all facts that are covered.
macro_rules! flaws {
    ($($test:ident: $flaw:ident { $($idea:ident::$fact:ident)* })*) => {
        $(#[test]
        fn $test() {
            struct Flawed;
            impl Variant for Flawed {
                const FLAW: Flaw = Flaw::$flaw;
            }
            $({
                let fact = || run(facts::$idea::$fact::<Reference<Flawed>>());
                let outcome = catch_unwind(AssertUnwindSafe(fact));
                assert!(outcome.is_err(), "{} does not find {:?}", stringify!($fact), Flaw::$flaw);
            })*
        })*

        const COVERED: &[&str] = &[$($(concat!(stringify!($idea), "::", stringify!($fact)),)*)*];
    };
}

include!("support/flaws.rs");

macro_rules! names {
    ($module:ident, $engine:ty; $($idea:ident { $($fact:ident)* })*) => {
        const ALL: &[&str] = &[$($(concat!(stringify!($idea), "::", stringify!($fact)),)*)*];
    };
}

tito_testkit::__every_fact!(names, all, ());

/// Facts about `transaction` and faults, which no engine can get wrong.
const ABOUT_NO_ENGINE: &[&str] = &["replay::a_conflict_of_any_call_is_replayed_whatever_the_closure_makes_of_it"];

#[test]
fn every_fact_can_fail() {
    let uncovered: Vec<_> =
        ALL.iter().filter(|fact| !COVERED.contains(fact) && !ABOUT_NO_ENGINE.contains(fact)).collect();
    assert!(uncovered.is_empty(), "no flaw is found by {uncovered:#?}");
}
