//! What workers promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod draining;
mod support;

/// Runs every fact on one engine, opened anew for each with a clock that the fact turns.
macro_rules! on_engine {
    ($engine:ident, $open:expr) => {
        on_engine! { $engine, $open;
            draining: a_large_backlog_is_drained_in_one_call;
        }
    };
    ($engine:ident, $open:expr; $($module:ident: $($fact:ident),+;)+) => {
        mod $engine {
            $(mod $module {
                $(#[tokio::test]
                async fn $fact() {
                    let clock = tito_testkit::TestClock::new();
                    let open: fn(tito_testkit::EngineSettings) -> _ = $open;
                    let db = open(tito_testkit::EngineSettings::default().test_clock(&clock)).await.unwrap();
                    crate::$module::$fact(db, clock).await;
                })+
            })+
        }
    };
}

on_engine!(embedded, tito_testkit::in_memory_with);
