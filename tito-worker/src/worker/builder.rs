//! How a worker is configured.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tito_core::BoxError;
use tito_core::model::TitoSchema;
use tokio::sync::Semaphore;

use super::Worker;
use super::feed::{Feed, MaybeFed};
use super::runner::Runner;
use super::source::READS_AT_ONCE;
use crate::handler::{BoxedHandler, Handler};
use crate::job::IntoTopic;
use crate::observe::{Observer, Observers};
use crate::operation::{NamedStep, OperationTypes, Rebuilds, Stepped};
use crate::partitions::PartitionConfig;
use crate::policy::Subscription;
use crate::queue::TitoQueue;
use crate::registration::{About, git_commit};

/// Configures a [`Worker`].
#[derive(Clone)]
#[must_use]
pub struct WorkerBuilder {
    worker: Worker,
    subscriptions: Vec<(String, Subscription, MaybeFed)>,
    observers: Observers,
}

impl WorkerBuilder {
    pub(super) fn new(queue: TitoQueue) -> Self {
        let worker = Worker {
            queue,
            partitions: PartitionConfig::all(),
            active: None,
            shutdown_timeout: Duration::from_secs(10),
            subscriptions: Vec::new(),
            schedules: true,
            registered: OperationTypes::default(),
            fleet: None,
            about: About::default(),
            gauges: None,
            dies_when_dropped: false,
        };
        Self { worker, subscriptions: Vec::new(), observers: Observers::default() }
    }

    /// Hands the events of a topic to `handler`, with the settings of a [typed topic](crate::TitoJob), or the default
    /// [`Subscription`] for other topics.
    ///
    /// [`Handler`] says what a handler can be.
    ///
    /// ```
    /// use tito_core::prelude::*;
    /// use tito_worker::prelude::*;
    ///
    /// # fn example(queue: TitoQueue) -> Worker {
    /// Worker::builder(queue)
    ///     .subscribe("user", |event: TitoEvent| async move {
    ///         println!("{} {}", event.action, event.entity);
    ///         Ok::<_, TitoError>(())
    ///     })
    ///     .build()
    /// # }
    /// ```
    pub fn subscribe<T, H, Args>(self, topic: T, handler: H) -> Self
    where
        T: IntoTopic,
        H: Handler<Args, (), T::Carries>,
    {
        self.subscribe_with(topic, T::settings(), handler)
    }

    /// Like [`subscribe`](WorkerBuilder::subscribe), with these settings.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tito_core::Transaction;
    /// use tito_core::prelude::*;
    /// use tito_worker::Subscription;
    /// use tito_worker::prelude::*;
    ///
    /// # fn example(queue: TitoQueue) -> Worker {
    /// let patient = Subscription::default().timeout(Duration::from_secs(600));
    /// let together = Subscription::default().batch(100);
    /// Worker::builder(queue)
    ///     .subscribe_with("report", patient, |event: TitoEvent| async move { Ok::<_, TitoError>(()) })
    ///     .subscribe_with("user", together, |events: Vec<TitoEvent>, tx: Transaction| async move {
    ///         for event in events {
    ///             tx.put(format!("seen/{}", event.entity).into_bytes(), Vec::new()).await?;
    ///         }
    ///         Ok::<_, TitoError>(())
    ///     })
    ///     .build()
    /// # }
    /// ```
    pub fn subscribe_with<T, H, Args>(mut self, topic: T, settings: Subscription, handler: H) -> Self
    where
        T: IntoTopic,
        H: Handler<Args, (), T::Carries>,
    {
        let topic = topic.into_topic();
        if let Some(version) = T::known_version() {
            self.worker.about.known_versions.insert(topic.clone(), version);
        }
        self.subscriptions.push((topic, settings, (handler.with_its_state(()), None)));
        self
    }

    /// Like [`subscribe_with`](WorkerBuilder::subscribe_with), with a feed that gets the handlers events from outside
    /// the queue: for event stores.
    #[doc(hidden)]
    pub fn subscribe_fed(
        mut self,
        queue: String,
        settings: Subscription,
        handler: BoxedHandler,
        feed: Arc<dyn Feed>,
    ) -> Self {
        self.subscriptions.push((queue, settings, (handler, Some(feed))));
        self
    }

    /// Lets an observer see every event that is handed out, in all topics, and what happens to it. There can be
    /// several.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Which partitions the worker serves. Default: all.
    pub fn partitions(mut self, partitions: PartitionConfig) -> Self {
        self.worker.partitions = partitions;
        self
    }

    /// Makes ownership automatic: the worker joins a fleet, whose members divide the partitions of the queues that they
    /// subscribe to. Members come and go, and partitions move. This replaces [`partitions`](WorkerBuilder::partitions).
    ///
    /// The members of a fleet can subscribe to different queues; a queue belongs to one fleet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tito_core::prelude::*;
    /// use tito_worker::prelude::*;
    ///
    /// fn worker(db: Database) -> Worker {
    ///     Worker::builder(TitoQueue::new(db))
    ///         .join("billing")
    ///         .lease_time(Duration::from_secs(10))
    ///         .subscribe("invoice", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
    ///         .build()
    /// }
    /// ```
    pub fn join(mut self, fleet: impl Into<String>) -> Self {
        let mut options = self.worker.fleet.take().map(|(_, options)| options).unwrap_or_default();
        options.name = self.worker.about.name.clone();
        self.worker.fleet = Some((fleet.into(), options));
        self
    }

    /// How long a member of a fleet counts as live after its last heartbeat, from a second to a day: a dead worker's
    /// partitions are served by others within twice this time. Default 15 s. Call it after
    /// [`join`](WorkerBuilder::join); without it, it does nothing.
    pub fn lease_time(mut self, time: Duration) -> Self {
        self.worker.fleet = self.worker.fleet.map(|(fleet, options)| (fleet, options.lease_time(time)));
        self
    }

    /// The worker's name in [`TitoQueue::workers`], and in [`TitoQueue::members`] if it joins a fleet.
    pub fn member_name(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if let Some((_, options)) = &mut self.worker.fleet {
            options.name = Some(name.clone());
        }
        self.worker.about.name = Some(name);
        self
    }

    /// The version of the application, as [`TitoQueue::workers`] shows it: it tells whether a deploy has reached all
    /// workers. Default: none.
    ///
    /// ```
    /// use tito_worker::prelude::*;
    ///
    /// # fn example(queue: TitoQueue) -> Worker {
    /// Worker::builder(queue).application_version(env!("CARGO_PKG_VERSION")).build()
    /// # }
    /// ```
    pub fn application_version(mut self, version: impl Into<String>) -> Self {
        self.worker.about.version = Some(version.into());
        self
    }

    /// Uses the commit that is checked out in the repository around the working directory, cut to 12 digits, as the
    /// [version](WorkerBuilder::application_version). For programs that run where they were built; without a
    /// repository, it changes nothing. Reads a few small files.
    pub fn version_of_git(mut self) -> Self {
        let folder = std::env::current_dir().ok();
        self.worker.about.version = folder.and_then(|folder| git_commit(&folder)).or(self.worker.about.version);
        self
    }

    /// The machine's name, as [`TitoQueue::workers`] shows it, instead of the machine's own.
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.worker.about.host = Some(name.into());
        self
    }

    /// Works only while `flag` is true. It is checked 20 times a second. Handlers that are running when it becomes
    /// false continue to their end.
    pub fn active_while(mut self, flag: Arc<AtomicBool>) -> Self {
        self.worker.active = Some(flag);
        self
    }

    /// Whether the worker publishes the due firings of the database's periodic schedules, for all topics. Default: yes.
    /// At least one worker of a database has to; with several, each firing is still published only once.
    pub fn schedules(mut self, fires: bool) -> Self {
        self.worker.schedules = fires;
        self
    }

    /// Sets the gauges of the queues that the worker serves this often: their backlogs, workers and longest handlers
    /// ([`observe::metrics`](crate::observe::metrics::BACKLOG_EVENTS) has them). Scraping a recorder reads the last
    /// values, and nothing from the database. Default: never. Every few seconds is plenty: if there is a backlog, up to
    /// 10,000 events of a queue are read each time.
    ///
    /// With the crate `metrics-exporter-prometheus`, calling `PrometheusBuilder::new().install()?` first exports them
    /// all.
    pub fn gauges(mut self, every: Duration) -> Self {
        self.worker.gauges = Some(every);
        self
    }

    /// What the worker does in an [operation](crate::OperationTask::Named) with this name, step by step. Each step gets
    /// the place where the last one stopped, and returns where the next one continues. A step may take as long as it
    /// likes. It is dropped at its current `await` when the operation is stopped, and another worker repeats it, with
    /// the same [key](NamedStep::key), if this one dies. Every worker carries out operations that need no such
    /// registration.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_core::{Transaction, TxOptions};
    /// # use tito_worker::prelude::*;
    /// # use tito_worker::{NamedStep, Stepped};
    /// # fn example(queue: TitoQueue) -> Worker {
    /// Worker::builder(queue)
    ///     .operation("credit everybody", |step: NamedStep| async move {
    ///         let from = step.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
    ///         let once = TxOptions::default().idempotency_key(step.key);
    ///         let key = format!("app/credit/{from}").into_bytes();
    ///         let credit = |tx: Transaction| async move { tx.put(key, b"5".to_vec()).await };
    ///         match step.database.transaction_with(once, credit).await {
    ///             // It was done before a death.
    ///             Ok(()) | Err(TitoError::AlreadyApplied { .. }) => {}
    ///             Err(error) => return Err(error.into()),
    ///         }
    ///         let next = from + 1;
    ///         Ok(Stepped { cursor: (next < 100).then(|| next.into()), done: 1 })
    ///     })
    ///     .build()
    /// # }
    /// ```
    pub fn operation<F, Fut>(mut self, name: impl Into<String>, step: F) -> Self
    where
        F: Fn(NamedStep) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Stepped, BoxError>> + Send + 'static,
    {
        self.worker.registered.named.add(name.into(), step);
        self
    }

    /// Lets the worker rebuild indexes of this model, in [operations](crate::OperationTask::Reindex) that somebody
    /// starts.
    ///
    /// ```
    /// # use tito_core::model::TitoSchema;
    /// # use tito_worker::prelude::*;
    /// # fn example<User: TitoSchema, Order: TitoSchema>(queue: TitoQueue) -> Worker {
    /// Worker::builder(queue).model::<User>().model::<Order>().build()
    /// # }
    /// ```
    pub fn model<M: TitoSchema>(mut self) -> Self {
        self.worker.registered.add_model::<M>();
        self
    }

    /// Lets the worker rebuild a projection of an event store, in [operations](crate::OperationTask::Rebuild) that
    /// somebody starts. `Projection::subscribe` of `tito-eventstore` calls this.
    pub fn rebuilds(
        mut self,
        store: impl Into<String>,
        projection: impl Into<String>,
        rebuilds: Arc<dyn Rebuilds>,
    ) -> Self {
        self.worker.registered.add_projection(store.into(), projection.into(), rebuilds);
        self
    }

    /// Makes dropping the future of [`Worker::run`] end it as the death of its process would, for tests of that.
    #[doc(hidden)]
    pub fn dies_when_dropped(mut self) -> Self {
        self.worker.dies_when_dropped = true;
        self
    }

    /// How long running handlers have to end when the worker is shut down. Default 10 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.worker.shutdown_timeout = timeout;
        self
    }

    /// The worker.
    pub fn build(self) -> Worker {
        let Self { mut worker, subscriptions, observers } = self;
        let reads = Arc::new(Semaphore::new(READS_AT_ONCE));
        for (queue, subscription, handler) in subscriptions {
            let database = worker.queue.engine.clone();
            let runner = Runner::new(database, queue, subscription, handler, observers.clone(), reads.clone());
            worker.subscriptions.push(Arc::new(runner));
        }
        worker
    }
}
