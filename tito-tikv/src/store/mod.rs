//! Stores: connections, and the sending of requests.
mod batch;
mod request;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tito_tikv_proto::tikvpb::tikv_client::TikvClient;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::region::errors::Class;
use crate::transport::{Connection, Transport};
use crate::{Error, PdFailure};
use batch::Batches;
pub(crate) use request::StoreRequest;

/// How a request without an answer failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It was not sent.
    NotSent(Error),
    /// It was, and may have been done.
    Unanswered(Error),
    /// It was not sent, as the store has no stream of commands. It knows that now, and the next attempt goes another
    /// way.
    Plain(Error),
    /// The store does not know it, or its answer is larger than is taken. Asking again is no use.
    Refused(Error),
}

/// How stores are spoken to.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    pub(crate) connections: usize,
    pub(crate) batches: bool,
    pub(crate) max_message_bytes: usize,
}

/// The stores of a cluster, each with its connections.
pub(crate) struct Stores {
    transport: Arc<dyn Transport>,
    settings: StoreSettings,
    stores: Mutex<HashMap<u64, Arc<Store>>>,
}

/// One store at one address.
struct Store {
    address: String,
    lines: Vec<tokio::sync::Mutex<Option<Line>>>,
    next: AtomicUsize,
    /// Whether the store has no stream of commands.
    is_plain: AtomicBool,
}

/// One connection.
#[derive(Clone)]
struct Line {
    client: TikvClient<Connection>,
    batches: Option<Batches>,
}

impl Stores {
    pub(crate) fn new(transport: Arc<dyn Transport>, settings: StoreSettings) -> Self {
        Stores { transport, settings, stores: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Store>>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets where a store is and its connections, so that both are made anew.
    pub(crate) fn forget(&self, store: u64) {
        self.lock().remove(&store);
    }

    async fn store(&self, id: u64, address: impl Future<Output = Result<String, Error>>) -> Result<Arc<Store>, Error> {
        if let Some(store) = self.lock().get(&id) {
            return Ok(store.clone());
        }
        let address = address.await?;
        let lines = (0..self.settings.connections.max(1)).map(|_| tokio::sync::Mutex::default()).collect();
        let store = Store { address, lines, next: AtomicUsize::new(0), is_plain: AtomicBool::new(false) };
        Ok(self.lock().entry(id).or_insert_with(|| Arc::new(store)).clone())
    }

    /// Sends a request to a store, whose address is asked for if it is not known, and waits for the answer so long.
    pub(crate) async fn send<Q: StoreRequest>(
        &self,
        id: u64,
        address: impl Future<Output = Result<String, Error>>,
        request: Q,
        limit: Duration,
    ) -> Result<Q::Response, Failure> {
        let store = self.store(id, address).await.map_err(Failure::NotSent)?;
        let unanswered = |status: Status| {
            Failure::Unanswered(Error::Unanswered { request: Q::NAME, store: id, source: Arc::new(status) })
        };
        let line = match timeout(limit, self.line(&store)).await {
            Ok(Ok(line)) => line,
            Ok(Err(failure)) => {
                self.forget(id);
                return Err(Failure::NotSent(Error::Pd { asked: "a store", source: failure }));
            }
            Err(_) => {
                self.forget(id);
                let status = Status::deadline_exceeded("no connection came about");
                return Err(Failure::NotSent(Error::Unanswered {
                    request: Q::NAME,
                    store: id,
                    source: Arc::new(status),
                }));
            }
        };
        let by_stream = line.batches.is_some() && Q::IS_COMMAND;
        let status = match timeout(limit, send_by(line, request)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(status)) => status,
            Err(_) => {
                // Others may be stuck behind it, so the next ones go another way.
                self.forget(id);
                let text = format!("no answer within {} ms", limit.as_millis());
                return Err(unanswered(Status::deadline_exceeded(text)));
            }
        };
        match status.code() {
            // The stream as a whole, or this command in it: either way nothing was done.
            Code::Unimplemented if by_stream => {
                store.is_plain.store(true, Ordering::Relaxed);
                let source = Arc::new(status);
                Err(Failure::Plain(Error::Unanswered { request: Q::NAME, store: id, source }))
            }
            Code::Unimplemented => {
                Err(Failure::Refused(Error::Unanswered { request: Q::NAME, store: id, source: Arc::new(status) }))
            }
            // What tonic makes of an answer over the limit of decoding.
            Code::OutOfRange if Q::CLASS == Class::Read => Err(Failure::Refused(Error::TooLarge {
                request: Q::NAME,
                store: id,
                limit: self.settings.max_message_bytes,
            })),
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => {
                // The connection may be of no use any more, or the store be elsewhere.
                self.forget(id);
                Err(unanswered(status))
            }
            _ => Err(unanswered(status)),
        }
    }

    /// A connection, in turn, which is opened if there is none yet.
    async fn line(&self, store: &Store) -> Result<Line, PdFailure> {
        let number = store.next.fetch_add(1, Ordering::Relaxed) % store.lines.len();
        let mut line = store.lines[number].lock().await;
        let is_plain = store.is_plain.load(Ordering::Relaxed) || !self.settings.batches;
        let mut opened = match line.take() {
            Some(opened) => opened,
            None => {
                let connection = self.transport.connect(&store.address).await.map_err(|source| PdFailure::Connect {
                    address: store.address.clone(),
                    source: Arc::from(source),
                })?;
                let client = TikvClient::new(connection)
                    .max_decoding_message_size(self.settings.max_message_bytes)
                    .max_encoding_message_size(usize::MAX);
                Line { client, batches: None }
            }
        };
        if is_plain {
            opened.batches = None;
        } else if opened.batches.as_ref().is_none_or(Batches::is_closed) {
            // One message has answers to many, so each is measured by itself.
            opened.batches = Some(Batches::start(opened.client.clone().max_decoding_message_size(usize::MAX)));
        }
        *line = Some(opened.clone());
        Ok(opened)
    }
}

async fn send_by<Q: StoreRequest>(line: Line, request: Q) -> Result<Q::Response, Status> {
    let request = match &line.batches {
        Some(batches) => match request.into_command() {
            Ok(command) => {
                let answered = batches.send(command).await?;
                return Q::answer(answered).ok_or_else(|| Status::internal("the answer is that of another request"));
            }
            Err(request) => request,
        },
        None => request,
    };
    request.call(line.client).await
}
