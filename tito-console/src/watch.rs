//! What workers do, as it happens.

use std::fmt;
use std::sync::Arc;

use tito_core::event::TitoEvent;
use tito_core::keys;
use tito_worker::observe::{EndedRun, Observer};
use tokio::sync::broadcast;

use crate::api::{Happened, Watched};

/// How many lines whoever watches may be behind before some are dropped for them.
const KEPT: usize = 1_024;

/// Lets the API show what the workers of this process do, as it happens. It is an observer of workers, and costs next
/// to nothing while nobody watches. Clones are the same watch.
///
/// ```
/// # use tito_console::{Console, Watch};
/// # use tito_core::event::TitoEvent;
/// # use tito_worker::{TitoQueue, Worker};
/// # fn example(db: tito_core::Database) {
/// let watch = Watch::new();
/// let worker = Worker::builder(TitoQueue::new(db.clone()))
///     .subscribe("mail", |_: TitoEvent| async { Ok::<_, String>(()) })
///     .observe(watch.clone())
///     .build();
/// let console = Console::of(&db).watch(&watch);
/// # }
/// ```
#[derive(Clone)]
pub struct Watch(broadcast::Sender<Arc<Watched>>);

impl Watch {
    /// Without any watchers yet.
    pub fn new() -> Self {
        Self(broadcast::channel(KEPT).0)
    }

    pub(crate) fn begin(&self) -> broadcast::Receiver<Arc<Watched>> {
        self.0.subscribe()
    }

    fn tell(&self, what: Happened, event: &TitoEvent, add: impl FnOnce(&mut Watched)) {
        if self.0.receiver_count() == 0 {
            return;
        }
        // That of a reactor's event, which lies in no queue, is named as its topic.
        let queue = keys::parse_event(&event.key).map_or_else(|| event.event_type.clone(), |place| place.queue);
        let (id, entity, attempt) = (event.id, event.entity.clone(), event.attempt());
        let (fate, duration_millis, error, due) = (None, None, None, None);
        let mut watched = Watched { what, queue, id, entity, attempt, fate, duration_millis, error, due };
        add(&mut watched);
        // An error means that the last one who watched has gone since.
        let _ = self.0.send(Arc::new(watched));
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Watch {
    fn handed_out(&self, event: &TitoEvent) {
        self.tell(Happened::HandedOut, event, |_| {});
    }

    fn handled(&self, handled: &EndedRun<'_>) {
        self.tell(Happened::Handled, handled.event, |watched| {
            watched.attempt = handled.attempt;
            watched.fate = Some(handled.fate.to_string());
            watched.duration_millis = u64::try_from(handled.duration.as_millis()).ok();
            watched.error = handled.error.map(str::to_string);
        });
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("watching", &self.0.receiver_count()).finish()
    }
}
