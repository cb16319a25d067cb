//! The two programs of the design, word for word, compiled and run. Only the line that opens the database is another,
//! and `println!` is a macro of this file's that lets the test see what is printed.

use std::sync::Mutex;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

static PRINTED: Mutex<Option<UnboundedSender<String>>> = Mutex::new(None);

macro_rules! println {
    ($($arguments:tt)*) => {
        PRINTED.lock().unwrap().as_ref().unwrap().send(format!($($arguments)*)).unwrap()
    };
}

fn printed_lines() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    *PRINTED.lock().unwrap() = Some(sender);
    lines
}

// Word for word means the layout as well.
#[rustfmt::skip]
mod hand_written {
    use std::error::Error;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use futures::FutureExt;
    use serde::{Deserialize, Serialize};
    use tito_core::prelude::*; use tito_worker::prelude::*;
    use tokio::sync::broadcast;

    use super::{PRINTED, printed_lines};

// The program begins.
#[derive(Default, Clone, Serialize, Deserialize)]
struct User { id: String, name: String, email: String }

impl TitoModelTrait for User {
    fn id(&self) -> String { self.id.clone() }
    fn table(&self) -> String { "user".to_string() }
    fn indexes(&self) -> Vec<TitoIndexConfig> {
        vec![TitoIndexConfig {
            condition: true,
            name: "by_email".to_string(),
            fields: vec![TitoIndexField { name: "email".to_string(), r#type: TitoIndexBlockType::String }],
        }]
    }
    fn events(&self) -> Vec<TitoEventConfig> {
        let now = chrono::Utc::now().timestamp();
        vec![
            TitoEventConfig { name: "user".to_string(), timestamp: now },
            TitoEventConfig { name: "analytics".to_string(), timestamp: now },
        ]
    }
}
// What follows is the body of an async function, with what the program leaves open as parameters.

    async fn program(
        user: User,
        is_leader: Arc<AtomicBool>,
        shutdown_rx: broadcast::Receiver<()>,
    ) -> Result<(), Box<dyn Error>> {
let db = EmbeddedBackend::in_memory().await?;
let user_model = db.clone().model::<User>();
db.transaction(|tx| async move {
    user_model.build_with_options(user, TitoOptions::with_events(TitoOperation::Insert), &tx).await
}).await?;

let queue = Arc::new(TitoQueue { engine: db });
let partition_config = PartitionConfig::new(4, 0);
run_worker(
    queue,
    "user".to_string(),
    |event| async move {
        println!("Processing: {} {}", event.action, event.entity);
        Ok(())
    }.boxed(),
    partition_config,
    is_leader,       // Arc<AtomicBool>: the worker works only while it is true
    shutdown_rx,     // tokio::sync::broadcast::Receiver<()>
).await;
        Ok(())
    }

    #[tokio::test]
    async fn the_hand_written_program_of_the_design_handles_its_event() {
        let mut lines = printed_lines();
        let (shutdown, shutdown_rx) = broadcast::channel(1);
        // The program's worker has the partitions 0, 4, 8 and 12; this user's events are in one of them.
        let id = (0..).map(|number| format!("u{number}")).find(|id| tito_core::keys::partition_of(&format!("user:{id}"), 16).is_multiple_of(4)).unwrap();
        let user = User { id: id.clone(), name: "Ada".to_string(), email: "ada@example.com".to_string() };
        let stop = async move {
            let line = lines.recv().await;
            shutdown.send(()).unwrap();
            line
        };
        let (ended, line) = tokio::join!(program(user, Arc::new(AtomicBool::new(true)), shutdown_rx), stop);
        ended.unwrap();
        assert_eq!(line.unwrap(), format!("Processing: insert user:{id}"));
    }
}

#[rustfmt::skip]
mod derived {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Serialize};
    use tito_core::prelude::*; use tito_worker::prelude::*;
    use tito_testkit::{EngineSettings, TestClock};

// The program begins.
#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(table = "user")]                                   // default: the type's name in snake_case
#[tito(event = "user")]                                   // on every write, due at once
#[tito(event = "analytics", on(insert, delete))]
#[tito(event = "reminder", delay = "1h", when = self.wants_reminder)]
#[tito(event = "expiry", at = self.expires_at)]           // chrono DateTime or i64 Unix seconds
#[tito(index(name = "by_org_and_email", fields(org_id, email), unique))]
struct User {
    #[tito(id)]                                           // default: the field called `id`; any key type (String, Uuid, u64, …)
    id: String,
    #[tito(index)]                                        // "by_org_id"
    org_id: String,
    #[tito(index, event = "email_changed", delay = "1h")] // a field's event: on insert, and when this field changes
    email: String,
    #[tito(index(name = "by_age", when = self.active))]
    age: u32,
    #[tito(index)]                                        // one entry an element
    tags: Vec<String>,
    active: bool,
    wants_reminder: bool,
    expires_at: DateTime<Utc>,
}
// The program ends.

    #[tokio::test]
    async fn the_derived_program_of_the_design_has_each_event_handled_when_it_falls_due() {
        let clock = TestClock::new();
        let db = tito_testkit::in_memory_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
        let users = db.clone().model::<User>();
        let now = db.now().await.unwrap();
        let user = User {
            id: "u1".to_string(),
            org_id: "acme".to_string(),
            email: "ada@example.com".to_string(),
            age: 36,
            tags: vec!["a".to_string(), "b".to_string()],
            active: true,
            wants_reminder: true,
            expires_at: DateTime::from_timestamp(now.seconds() + 7_200, 0).unwrap(),
        };
        db.transaction(|tx| async move { users.insert(&user, &tx).await }).await.unwrap();

        let handled = Arc::new(Mutex::new(Vec::new()));
        let mut worker = Worker::builder(TitoQueue::new(db.clone()));
        for topic in ["user", "analytics", "reminder", "expiry", "email_changed"] {
            let handled = handled.clone();
            worker = worker.subscribe(topic, move |event: TitoEvent| {
                handled.lock().unwrap().push(format!("{} {} {}", event.event_type, event.action, event.entity));
                async { Ok::<_, TitoError>(()) }
            });
        }
        let worker = worker.build();
        let due_after = async |duration: Duration| {
            clock.advance(duration);
            worker.drain().await.unwrap();
            let mut handled = std::mem::take(&mut *handled.lock().unwrap());
            handled.sort();
            handled
        };
        assert_eq!(due_after(Duration::ZERO).await, ["analytics insert user:u1", "user insert user:u1"]);
        assert_eq!(due_after(Duration::from_secs(3_598)).await, [""; 0]);
        assert_eq!(due_after(Duration::from_secs(3)).await, ["email_changed insert user:u1", "reminder insert user:u1"]);
        assert_eq!(due_after(Duration::from_secs(3_600)).await, ["expiry insert user:u1"]);
    }
}
