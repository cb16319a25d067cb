//! A saga of five steps, whose process is killed with SIGKILL at every one of them: the test runs itself as a child on a
//! database directory, and kills it where it says that it stands.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::embedded::EmbeddedBackend;
use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::{Result, Transaction};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Advance, Order, Outcome, Subscription};

/// In the environment of the child: the directory, and where it is to stop and wait to be killed.
const DIRECTORY: &str = "TITO_SAGA_DIRECTORY";
const STOP_AT: &str = "TITO_SAGA_STOP_AT";

/// A trip is booked. There is no car, so what was booked is taken back.
#[derive(Debug, Serialize, Deserialize)]
enum Trip {
    Flight,
    Hotel { flight: u32 },
    Car { flight: u32, hotel: u32 },
    CancelHotel { flight: u32, hotel: u32 },
    CancelFlight { flight: u32 },
}

const STEPS: [&str; 5] = ["flight", "hotel", "car", "cancel hotel", "cancel flight"];

impl Trip {
    fn number(&self) -> usize {
        match self {
            Self::Flight => 0,
            Self::Hotel { .. } => 1,
            Self::Car { .. } => 2,
            Self::CancelHotel { .. } => 3,
            Self::CancelFlight { .. } => 4,
        }
    }

    /// What the step does, in the transaction of its acknowledgement, and the step after it.
    async fn done_in(&self, tx: &Transaction) -> Result<Option<Self>> {
        let booking = |what: &str, number: u32| format!("booking:{what}:{number}").into_bytes();
        Ok(match *self {
            Self::Flight => {
                tx.put(booking("flight", 7), b"booked".to_vec()).await?;
                Some(Self::Hotel { flight: 7 })
            }
            Self::Hotel { flight } => {
                tx.put(booking("hotel", 8), b"booked".to_vec()).await?;
                Some(Self::Car { flight, hotel: 8 })
            }
            Self::Car { flight, hotel } => Some(Self::CancelHotel { flight, hotel }),
            Self::CancelHotel { flight, hotel } => {
                tx.put(booking("hotel", hotel), b"cancelled".to_vec()).await?;
                Some(Self::CancelFlight { flight })
            }
            Self::CancelFlight { flight } => {
                tx.put(booking("flight", flight), b"cancelled".to_vec()).await?;
                None
            }
        })
    }
}

/// What the child process runs. Does nothing in a run of all tests.
#[test]
fn child_process() {
    let (Ok(directory), Ok(stop_at)) = (std::env::var(DIRECTORY), std::env::var(STOP_AT)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(Path::new(&directory), stop_at));
}

async fn work(directory: &Path, stop_at: String) {
    let db = EmbeddedBackend::open(directory).await.unwrap();
    let stop = stop_at.clone();
    let handler = move |event: TitoEvent, tx: Transaction| {
        let stop = stop.clone();
        async move {
            let trip: Trip = event.payload()?;
            let step = STEPS[trip.number()];
            if stop == format!("before {step}") {
                stand_still().await;
            }
            let key = format!("effect:{step}").into_bytes();
            let times = tx.get(&key).await?.map_or(0, |times| times.len());
            tx.put(key, vec![b'x'; times + 1]).await?;
            let next = trip.done_in(&tx).await?;
            if stop == format!("within {step}") {
                stand_still().await;
            }
            Ok::<_, TitoError>(match next {
                Some(next) => Advance::to(&next)?.into(),
                None => Outcome::Done,
            })
        }
    };
    let strict = Subscription::default().order(Order::Strict);
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("trip", strict, handler).schedules(false);
    let done = async {
        while step_to_do(&db).await.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if stop_at == "after all" {
            stand_still().await;
        }
    };
    worker.build().run(done).await.unwrap();
    db.close().await;
}

async fn stand_still() {
    // After what the test harness has printed on this line.
    println!("\nHERE");
    std::future::pending().await
}

/// The number of the step that the saga stands at; none if it is done.
async fn step_to_do(db: &Database) -> Option<usize> {
    let tx = db.begin().await.unwrap();
    let events = tx.scan(keys::events_of_queue("trip"), 10).await.unwrap();
    tx.rollback().await;
    assert!(events.len() <= 1, "one event goes from step to step");
    let (key, value) = events.first()?;
    Some(TitoEvent::decode(key, value).unwrap().payload::<Trip>().unwrap().number())
}

/// How often each step has taken effect.
async fn effects(db: &Database) -> Vec<usize> {
    let tx = db.begin().await.unwrap();
    let keys = STEPS.iter().map(|step| format!("effect:{step}").into_bytes()).collect();
    let stored = tx.batch_get(keys).await.unwrap();
    tx.rollback().await;
    stored.into_iter().map(|times| times.map_or(0, |times| times.len())).collect()
}

async fn bookings(db: &Database) -> Vec<(String, String)> {
    let tx = db.begin().await.unwrap();
    let found = tx.scan(KeyRange::prefix("booking:"), 10).await.unwrap();
    tx.rollback().await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    found.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn child(directory: &Path, stop_at: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "saga::child_process", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(STOP_AT, stop_at)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs a child until it says that it stands where it was to stop, and kills it there.
fn run_and_kill(directory: &Path, stop_at: &str) {
    let mut child = child(directory, stop_at);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    if !lines.any(|line| line.unwrap() == "HERE") {
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        panic!("the child ended and was to be killed {stop_at}: {errors}");
    }
    // SIGKILL on Unix.
    child.kill().unwrap();
    assert!(child.wait().unwrap().code().is_none(), "it was killed");
}

#[tokio::test]
async fn a_saga_whose_process_is_killed_at_every_step_takes_each_step_once_and_takes_back_what_it_booked() {
    let directory = tempfile::tempdir().unwrap();
    let open = || EmbeddedBackend::open(directory.path());
    let db = open().await.unwrap();
    let queue = TitoQueue::new(db.clone());
    let trip = Publish::new("trip", "customer:17").payload(&Trip::Flight).unwrap();
    db.transaction(|tx| async move { queue.publish(trip, &tx).await.map(drop) }).await.unwrap();
    db.close().await;
    for (number, step) in STEPS.iter().enumerate() {
        // Before its effect, which is when the step before it is committed, and before the commit of its own.
        for moment in ["before", "within"] {
            run_and_kill(directory.path(), &format!("{moment} {step}"));
            let db = open().await.unwrap();
            assert_eq!(step_to_do(&db).await, Some(number), "killed {moment} {step}");
            let expected: Vec<_> = (0..STEPS.len()).map(|at| usize::from(at < number)).collect();
            assert_eq!(effects(&db).await, expected, "killed {moment} {step}");
            db.close().await;
        }
    }
    run_and_kill(directory.path(), "after all");
    assert!(child(directory.path(), "never").wait().unwrap().success(), "there is nothing left to do");
    let db = open().await.unwrap();
    assert_eq!(step_to_do(&db).await, None);
    assert_eq!(effects(&db).await, [1; 5]);
    let expected = [("booking:flight:7", "cancelled"), ("booking:hotel:8", "cancelled")];
    assert_eq!(bookings(&db).await, expected.map(|(key, value)| (key.to_string(), value.to_string())));
    assert!(TitoQueue::new(db.clone()).dead_letters("trip", 10, None).await.unwrap().is_empty());
    db.close().await;
}
