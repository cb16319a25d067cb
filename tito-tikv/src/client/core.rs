//! What all parts of a client share: where keys are, and one attempt of one request.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tito_tikv_proto::kvrpcpb::{ApiVersion, Context, context};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::keyspace::Keyspace;
use super::outcomes::Outcomes;
use super::row_sizes::RowSizes;
use super::settings::Settings;
use super::tasks::Tasks;
use crate::error::Key;
use crate::pd::{Pd, Told};
use crate::protocol::{Backoff, Pause, Reply, Request, Response};
use crate::region::errors::{Effect, Known, meaning};
use crate::region::{Region, RegionCache, codec};
use crate::store::{Failure, StoreRequest, StoreSettings, Stores};
use crate::transport::Transport;
use crate::{Error, PdFailure, Result, Timestamp};

/// With this many keys in unknown regions, regions are looked up by range and not one by one.
const MANY: usize = 4;

/// Far enough away to mean "never", where adding a time would overflow.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What a client consists of.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) pd: Pd,
    pub(crate) keyspace: Keyspace,
    pub(crate) regions: RegionCache,
    pub(crate) stores: Stores,
    pub(crate) outcomes: Outcomes,
    pub(crate) row_sizes: RowSizes,
    pub(crate) tasks: Tasks,
    random: Mutex<fastrand::Rng>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("cluster", &self.pd.cluster_id()).finish_non_exhaustive()
    }
}

/// What came of one attempt of one request.
#[derive(Clone, Debug)]
pub(crate) enum Attempt<T> {
    Response(T),
    NotDone { error: Error, pause: Pause },
    Unanswered { error: Error, pause: Pause },
    Refused { error: Error },
}

impl Core {
    pub(crate) async fn connect(
        transport: Arc<dyn Transport>,
        addresses: Vec<String>,
        settings: Settings,
    ) -> Result<Arc<Core>> {
        let deadline = Deadline::after("connect", settings.connect_deadline).at;
        let random = Mutex::new(settings.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed));
        let mut attempt = 0;
        let mut last = None;
        let (pd, keyspace) = loop {
            let connecting = async {
                let pd = Pd::connect(transport.clone(), addresses.clone(), settings.pd_timeout).await?;
                let keyspace = match &settings.keyspace {
                    Some(name) => Keyspace::numbered(pd.keyspace(name).await?),
                    None => Keyspace::default(),
                };
                Ok((pd, keyspace))
            };
            let late = |_| {
                let source = PdFailure::Timeout { millis: settings.connect_deadline.as_millis() as u64 };
                Err(last.take().unwrap_or(Error::Pd { asked: "its members", source }))
            };
            match timeout_at(deadline, connecting).await.unwrap_or_else(late) {
                Ok(connected) => break connected,
                Err(error) if error.can_retry_help() && Instant::now() < deadline => {
                    let pause = length(Pause::Backoff { kind: Backoff::Pd, attempt }, &random);
                    attempt += 1;
                    last = Some(error);
                    sleep_until(deadline.min(Instant::now() + pause)).await;
                }
                Err(error) => return Err(error),
            }
        };
        let stores = StoreSettings {
            connections: settings.connections,
            batches: settings.batch_commands,
            max_message_bytes: settings.max_message_bytes,
        };
        Ok(Arc::new(Core {
            stores: Stores::new(transport, stores),
            row_sizes: RowSizes::new(settings.max_message_bytes),
            settings,
            pd,
            keyspace,
            regions: RegionCache::default(),
            outcomes: Outcomes::default(),
            tasks: Tasks::here(),
            random,
        }))
    }

    /// How long a pause is.
    pub(crate) fn pause(&self, pause: Pause) -> Duration {
        length(pause, &self.random)
    }

    /// A timestamp, asked for until the deadline.
    pub(crate) async fn timestamp(&self, deadline: Deadline) -> Result<Timestamp> {
        let mut attempt = 0;
        loop {
            match self.pd.timestamp().await {
                Ok(timestamp) => return Ok(timestamp),
                Err(error) if error.can_retry_help() && attempt < self.settings.retries => {
                    let pause = Pause::Backoff { kind: Backoff::Pd, attempt };
                    attempt += 1;
                    deadline.pause(self.pause(pause), error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The region of a key, as it is known or as PD says. One look-up: if it fails, so does this.
    pub(crate) async fn region_of(&self, key: &[u8]) -> Result<Arc<Region>> {
        if let Some(region) = self.regions.of_key(key) {
            return Ok(region);
        }
        let region = self.take_in(self.pd.region(codec::encode(key)).await?, key)?;
        if region.contains(key) { Ok(region) } else { Err(no_region(key)) }
    }

    /// The region that has the keys just before this one; before an empty one, the last.
    pub(crate) async fn region_before(&self, end: &[u8]) -> Result<Arc<Region>> {
        if let Some(region) = self.regions.before(end) {
            return Ok(region);
        }
        if end.is_empty() {
            return self.last_region().await;
        }
        let encoded = codec::encode(end);
        let mut region = self.take_in(self.pd.region(encoded.clone()).await?, end)?;
        if !region.reaches(end) {
            region = self.take_in(self.pd.previous_region(encoded).await?, end)?;
        }
        if region.reaches(end) { Ok(region) } else { Err(no_region(end)) }
    }

    /// The last region, from one that is far to the right on.
    async fn last_region(&self) -> Result<Arc<Region>> {
        let mut boundary = vec![0xff; 256];
        loop {
            let region = self.take_in(self.pd.region(boundary).await?, b"")?;
            if region.end.is_empty() {
                return Ok(region);
            }
            boundary = codec::encode(&region.end);
        }
    }

    fn take_in(&self, (meta, leader): Told, key: &[u8]) -> Result<Arc<Region>> {
        let region = Region::from_meta(&meta, leader.as_ref()).ok_or_else(|| no_region(key))?;
        Ok(self.regions.insert(region))
    }

    /// The regions of keys that ascend, each with how many of them it has. Every key is in one, or this fails.
    pub(crate) async fn locate(&self, keys: &[Vec<u8>]) -> Result<Vec<(Arc<Region>, usize)>> {
        let mut runs: Vec<(Arc<Region>, usize)> = Vec::new();
        let mut was_scanned = false;
        for (position, key) in keys.iter().enumerate() {
            if let Some((_, count)) = runs.last_mut().filter(|(region, _)| region.contains(key)) {
                *count += 1;
                continue;
            }
            let rest = &keys[position..];
            if !was_scanned && rest.len() >= MANY && self.regions.of_key(key).is_none() {
                was_scanned = true;
                self.scan_regions(rest).await?;
            }
            runs.push((self.region_of(key).await?, 1));
        }
        Ok(runs)
    }

    /// Takes in the regions from the first key to the last. What is missing in the answer is looked up by itself.
    async fn scan_regions(&self, keys: &[Vec<u8>]) -> Result<()> {
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(()) };
        let end = codec::encode(&[last.as_slice(), &[0]].concat());
        for told in self.pd.regions(codec::encode(first), end).await? {
            self.take_in(told, first)?;
        }
        Ok(())
    }

    fn context(&self, context: &mut Context, region: &Region, limit: Duration) {
        context.region_id = region.id;
        context.region_epoch = Some(region.epoch.clone());
        context.peer = Some(region.leader().clone());
        // The store gives up before its answer would come too late.
        context.max_execution_duration_ms = (limit.min(NEVER).as_millis() as u64 * 2 / 3).max(1);
        if let Some(id) = self.keyspace.id {
            context.api_version = ApiVersion::V2.into();
            context.keyspace = Some(context::Keyspace::KeyspaceId(id));
        }
        context.cluster_id = self.pd.cluster_id();
    }

    /// Sends a request to a region once, and learns from what comes back where regions and stores are.
    pub(crate) async fn attempt<Q: StoreRequest>(&self, region: &Arc<Region>, request: Q) -> Attempt<Q::Response> {
        self.attempt_for(region, request, self.settings.request_timeout).await
    }

    pub(crate) async fn attempt_for<Q: StoreRequest>(
        &self,
        region: &Arc<Region>,
        mut request: Q,
        limit: Duration,
    ) -> Attempt<Q::Response> {
        self.context(request.context_mut(), region, limit);
        let store = region.leader().store_id;
        match self.stores.send(store, self.pd.store_address(store), request, limit).await {
            Ok(mut response) => {
                region.is_reached();
                match Q::take_region_error(&mut response) {
                    None => Attempt::Response(response),
                    Some(error) => {
                        let meaning = meaning(&error, Q::CLASS);
                        let text = format!("{} ({})", meaning.name, error.message);
                        let lasting = meaning.effect == Effect::Lasting;
                        self.learn(region, meaning.known);
                        let error = Error::Region { request: Q::NAME, region: region.id, error: text, lasting };
                        let pause = meaning.pause;
                        match meaning.effect {
                            Effect::NotDone => Attempt::NotDone { error, pause },
                            Effect::MayBeDone => Attempt::Unanswered { error, pause },
                            Effect::Lasting => Attempt::Refused { error },
                        }
                    }
                }
            }
            Err(Failure::NotSent(error)) => {
                self.pass_by(region, store);
                Attempt::NotDone { error, pause: Pause::Backoff { kind: Backoff::Store, attempt: 0 } }
            }
            Err(Failure::Unanswered(error)) => {
                self.pass_by(region, store);
                Attempt::Unanswered { error, pause: Pause::Backoff { kind: Backoff::Store, attempt: 0 } }
            }
            Err(Failure::Plain(error)) => Attempt::NotDone { error, pause: Pause::None },
            Err(Failure::Refused(error)) => Attempt::Refused { error },
        }
    }

    /// A store can't be reached: another peer may lead, and once all were tried PD is asked anew.
    fn pass_by(&self, region: &Arc<Region>, store: u64) {
        if !region.pass_by(store) {
            self.regions.forget(region);
        }
    }

    fn learn(&self, region: &Arc<Region>, known: Known) {
        match known {
            Known::Stays => {}
            Known::Forgotten => self.regions.forget(region),
            Known::LedBy(store) => {
                if !region.lead_by(store) {
                    self.regions.forget(region);
                }
            }
            Known::Replaced(regions) => {
                let leader = region.leader().clone();
                self.regions.forget(region);
                for region in regions.iter().filter_map(|meta| Region::from_meta(meta, Some(&leader))) {
                    self.regions.insert(region);
                }
            }
        }
    }

    /// The same for a machine's request.
    pub(crate) async fn send(&self, region: &Arc<Region>, request: Request) -> Reply {
        macro_rules! send {
            ($($kind:ident),*) => {
                match request {
                    #[cfg(test)]
                    Request::Cleanup(request) => reply(self.attempt(region, *request).await),
                    $(Request::$kind(request) => reply(self.attempt(region, *request).await),)*
                }
            };
        }
        send!(
            Prewrite,
            Commit,
            BatchRollback,
            CheckTxnStatus,
            CheckSecondaryLocks,
            ResolveLock,
            HeartBeat,
            PessimisticLock,
            PessimisticRollback
        )
    }
}

fn reply<T: Into<Response>>(attempt: Attempt<T>) -> Reply {
    match attempt {
        Attempt::Response(response) => Reply::Response(response.into()),
        Attempt::NotDone { error, pause } => Reply::NotDone { error, pause },
        Attempt::Unanswered { error, pause } => Reply::Unanswered { error, pause },
        Attempt::Refused { error } => Reply::Refused { error },
    }
}

fn no_region(key: &[u8]) -> Error {
    Error::Pd { asked: "a region", source: PdFailure::NoRegion(Key::from(key)) }
}

/// The shortest and the longest pause of a kind, in milliseconds; each attempt doubles it.
fn bounds(kind: Backoff) -> (u64, u64) {
    match kind {
        Backoff::Pd => (10, 200),
        Backoff::Region => (2, 200),
        Backoff::Store => (10, 500),
        Backoff::Busy => (50, 1_000),
        Backoff::Lock => (5, 200),
    }
}

/// Half of the pause is drawn, so that those who failed together don't come back together.
fn length(pause: Pause, random: &Mutex<fastrand::Rng>) -> Duration {
    match pause {
        Pause::None => Duration::ZERO,
        Pause::Millis(millis) => Duration::from_millis(millis),
        Pause::Backoff { kind, attempt } => {
            let (shortest, longest) = bounds(kind);
            let micros = (shortest << attempt.min(16)).min(longest) * 1_000;
            let drawn = random.lock().unwrap_or_else(PoisonError::into_inner).u64(0..=micros / 2);
            Duration::from_micros(micros / 2 + drawn)
        }
    }
}

/// The time by which a call has to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    call: &'static str,
    at: Instant,
    millis: u64,
}

impl Deadline {
    pub(crate) fn after(call: &'static str, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Deadline { call, at: Instant::now() + duration.min(NEVER), millis }
    }

    /// The time left.
    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(crate) fn error(&self, last: Option<Error>) -> Error {
        Error::Deadline { call: self.call, millis: self.millis, last: last.map(Arc::new) }
    }

    /// Waits before the next attempt; the error is what became of the one before.
    pub(crate) async fn pause(&self, pause: Duration, last: Error) -> Result<()> {
        if Instant::now() + pause >= self.at {
            return Err(self.error(Some(last)));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The same call, but no longer than the deadline.
    pub(crate) async fn bound<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        match timeout_at(self.at, future).await {
            Ok(result) => result,
            Err(_) => Err(self.error(None)),
        }
    }
}
