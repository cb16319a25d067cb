//! `insert` of a model with one index and one event, beside a transaction that puts the same 3 keys by hand.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use serde::{Deserialize, Serialize};
use support::load::{Load, Puts, commit_all, merged, run_tasks};
use support::{directory, interleaved, number, per_second, ratio, rounds, runtime, scaled, table};
use tito_core::prelude::*;

const ASKED: f64 = 0.6;
const TASKS: usize = 256;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "user")]
struct User {
    id: String,
    #[tito(index)]
    email: String,
    about: String,
}

fn main() {
    let runtime = runtime();
    let directory = directory();
    let count = scaled(12_800);
    let open = |name: &str| runtime.block_on(EmbeddedBackend::open(directory.path().join(name))).unwrap();
    let (with_model, by_hand) = (open("model"), open("by_hand"));
    let load = |round: usize| Load::new(round as u64, 1).transactions(count);
    let [model, engine] = interleaved(
        rounds(),
        [
            &mut |round| {
                let users: Vec<User> = load(round).iter().map(user).collect();
                let (db, model) = (with_model.clone(), with_model.clone().model::<User>());
                let took = run_tasks(&runtime, TASKS, users, move |user| {
                    let (db, model) = (db.clone(), model.clone());
                    async move {
                        let tx = db.begin().await.unwrap();
                        model.insert(&user, &tx).await.unwrap();
                        tx.commit().await.unwrap();
                    }
                });
                runtime.block_on(merged(&with_model));
                per_second(count, took)
            },
            &mut |round| {
                let took = commit_all(&runtime, &by_hand, TASKS, load(round));
                runtime.block_on(merged(&by_hand));
                per_second(count, took)
            },
        ],
    );
    println!("Inserts of a model with one index and one event, {TASKS} tasks; {} rounds, medians\n", rounds());
    let line = vec![String::new(), number(model), number(engine), ratio(model / engine, ASKED)];
    table(&["", "model, a second", "3 puts, a second", "ratio"], &[line]);
    runtime.block_on(async { (with_model.close().await, by_hand.close().await) });
}

/// The row of a transaction of the load.
fn user(puts: &Puts) -> User {
    serde_json::from_slice(&puts[0].1).unwrap()
}
