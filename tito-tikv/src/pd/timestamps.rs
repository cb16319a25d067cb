//! Timestamps, by one stream for all tasks.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tito_tikv_proto::pdpb::{TsoRequest, TsoResponse};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::client;
use super::members::{Members, check_cluster};
use crate::{PdFailure, Timestamp};

/// How many may wait for a timestamp before others have to wait for a place.
const WAITING: usize = 4_096;

type Waiter = oneshot::Sender<Result<Timestamp, PdFailure>>;

/// The way to timestamps. Whoever asks while a request is under way shares the next one with all others who did.
pub(super) struct Timestamps(mpsc::Sender<Waiter>);

impl Timestamps {
    /// Starts the task that asks, which ends with this.
    pub(super) fn start(members: Arc<Members>, limit: Duration) -> Self {
        let (sender, queue) = mpsc::channel(WAITING);
        let asker = Asker { members, limit, stream: None, last: AtomicU64::new(0) };
        tokio::spawn(asker.run(queue));
        Timestamps(sender)
    }

    pub(super) async fn next(&self) -> Result<Timestamp, PdFailure> {
        let (waiter, told) = oneshot::channel();
        let gone = || PdFailure::Answer("the stream of timestamps is closed".to_owned());
        self.0.send(waiter).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

struct Asker {
    members: Arc<Members>,
    limit: Duration,
    stream: Option<Stream>,
    last: AtomicU64,
}

struct Stream {
    address: String,
    requests: mpsc::Sender<TsoRequest>,
    answers: Streaming<TsoResponse>,
}

impl Asker {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiter>) {
        let mut broken = None;
        let mut waiters = Vec::new();
        while queue.recv_many(&mut waiters, WAITING).await > 0 {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                continue;
            }
            let answer = match &broken {
                Some(failure) => Err(PdFailure::clone(failure)),
                None => self.ask(waiters.len()).await,
            };
            if let Err(failure @ PdFailure::TimestampWentBack { .. }) = &answer {
                tracing::error!(%failure, "timestamps can't be relied on any more");
                broken = Some(failure.clone());
            }
            for (number, waiter) in waiters.drain(..).enumerate() {
                let told = answer.as_ref().map(|first| Timestamp::from_raw(first.raw() + number as u64));
                // Who gave up meanwhile needs none.
                let _ = waiter.send(told.map_err(Clone::clone));
            }
        }
    }

    /// Asks for so many timestamps, of which the first is returned.
    async fn ask(&mut self, count: usize) -> Result<Timestamp, PdFailure> {
        let asked = timeout(self.limit, self.ask_stream(count)).await;
        let late = PdFailure::Timeout { millis: self.limit.as_millis() as u64 };
        let answer = asked.unwrap_or(Err(late)).and_then(|answer| self.check(&answer, count));
        if answer.is_err()
            && let Some(stream) = self.stream.take()
        {
            self.members.lose(&stream.address);
        }
        answer
    }

    async fn ask_stream(&mut self, count: usize) -> Result<TsoResponse, PdFailure> {
        let request = TsoRequest {
            header: self.members.header(),
            count: count as u32,
            dc_location: String::new(),
            ..Default::default()
        };
        let stream = match &mut self.stream {
            Some(stream) => {
                let gone = |_| PdFailure::Answer("the stream of timestamps has ended".to_owned());
                stream.requests.send(request).await.map_err(gone)?;
                stream
            }
            None => {
                let opened = self.open(request).await?;
                self.stream.insert(opened)
            }
        };
        let failed = |source: Status| PdFailure::Call { address: stream.address.clone(), source: Arc::new(source) };
        match stream.answers.message().await.map_err(failed)? {
            Some(answer) => Ok(answer),
            None => Err(PdFailure::Answer("the stream of timestamps has ended".to_owned())),
        }
    }

    async fn open(&self, first: TsoRequest) -> Result<Stream, PdFailure> {
        let (address, connection) = self.members.leader().await?;
        let (requests, mut outgoing) = mpsc::channel(1);
        // A server may answer the opening only with the first answer.
        let _ = requests.try_send(first);
        let outgoing = futures::stream::poll_fn(move |context| outgoing.poll_recv(context));
        match client(connection).tso(outgoing).await {
            Ok(answers) => Ok(Stream { address, requests, answers: answers.into_inner() }),
            Err(source) => {
                self.members.lose(&address);
                Err(PdFailure::Call { address, source: Arc::new(source) })
            }
        }
    }

    /// The first of the timestamps of an answer, which tells the last.
    fn check(&self, answer: &TsoResponse, count: usize) -> Result<Timestamp, PdFailure> {
        check_cluster(answer.header.as_ref(), self.members.cluster_id())?;
        let refused = |what: String| Err(PdFailure::Answer(what));
        if answer.count as usize != count {
            return refused(format!("expected {count} timestamps, found {}", answer.count));
        }
        let Some(told) = &answer.timestamp else { return refused("there is no timestamp".to_owned()) };
        if told.suffix_bits != 0 {
            return refused("timestamps of several data centres are not known".to_owned());
        }
        let (Ok(physical), Ok(logical)) = (u64::try_from(told.physical), u64::try_from(told.logical)) else {
            return refused(format!("expected a timestamp, found {told:?}"));
        };
        let before = Timestamp::from_raw(self.last.load(Ordering::Relaxed));
        let last = Timestamp::from_raw((physical << 18).saturating_add(logical));
        let first = Timestamp::from_raw(last.raw().saturating_sub(count as u64 - 1));
        if first <= before {
            return Err(PdFailure::TimestampWentBack { before, found: first });
        }
        self.last.store(last.raw(), Ordering::Relaxed);
        Ok(first)
    }
}
