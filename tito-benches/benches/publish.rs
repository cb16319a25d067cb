//! `insert` of a model with one index and one event, beside a transaction that puts the same 3 keys by hand. And how much
//! of its work is to check that its row can be read, and to read it back.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::hint::black_box;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use support::load::{Load, Puts, commit_all, merged, run_tasks};
use support::process::cpu_time;
use support::{asked_of, directory, interleaved, median, number, per_second, ratio, rounds, runtime, scaled, table};
use tito_core::prelude::*;
use tito_core::row;

const ASKED: f64 = 0.6;
const ASKED_READ_BACK: f64 = 0.1;
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
    let (mut inserting, mut reading_back) = (Vec::new(), Vec::new());
    let [model, engine] = interleaved(
        rounds(),
        [
            &mut |round| {
                let users: Vec<User> = load(round).iter().map(user).collect();
                let (db, model) = (with_model.clone(), with_model.clone().model::<User>());
                reading_back.push(read_back(&users));
                let used = cpu_time();
                let took = run_tasks(&runtime, TASKS, users, move |user| {
                    let (db, model) = (db.clone(), model.clone());
                    async move {
                        let tx = db.begin().await.unwrap();
                        model.insert(&user, &tx).await.unwrap();
                        tx.commit().await.unwrap();
                    }
                });
                inserting.push((cpu_time() - used).as_secs_f64() * 1e6 / count as f64);
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
    let (inserting, reading_back) = (median(inserting), median(reading_back));
    let share = reading_back / inserting;
    let asked = asked_of(format!("at most {ASKED_READ_BACK:.2}"), share <= ASKED_READ_BACK);
    println!(
        "Reading a row back: {reading_back:.2} of an insert's {inserting:.2} µs of a processor, {share:.2} {asked}\n"
    );
    runtime.block_on(async { (with_model.close().await, by_hand.close().await) });
}

/// How many microseconds longer a row takes that is checked and read back than one that is only written.
fn read_back(users: &[User]) -> f64 {
    let timed = |write: &dyn Fn(&User)| {
        let begin = Instant::now();
        users.iter().for_each(write);
        begin.elapsed().as_secs_f64() * 1e6 / users.len() as f64
    };
    let write = |user: &User| drop(black_box(serde_json::to_vec(user).unwrap()));
    let write_and_read = |user: &User| drop(black_box(row::encode_and_read::<User>("a user", user).unwrap()));
    // What comes first finds nothing in the processor's caches.
    timed(&write);
    let written = timed(&write);
    timed(&write_and_read) - written
}

/// The row of a transaction of the load.
fn user(puts: &Puts) -> User {
    serde_json::from_slice(&puts[0].1).unwrap()
}
