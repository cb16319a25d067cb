//! Calls to the cluster that can be made again: reads, and timestamps. All within a deadline.

use std::future::Future;

use tikv_client::TransactionClient;

use super::Core;
use super::deadline::{Deadline, Passed};
use super::error::TiKVError;
use super::failure::Failure;
use tito_core::keys::KeyRange;
use tito_core::{KeyText, Result, SharedError, TitoError};

type ClientResult<T> = std::result::Result<T, tikv_client::Error>;

/// What a call is about, for its errors and for healing what is in its way.
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    /// The engine's key, the first one of several.
    pub(super) key: Option<&'a [u8]>,
    /// The stored keys that the call reads.
    pub(super) range: &'a KeyRange,
}

/// What came of a read.
pub(super) enum Answer<T> {
    Done(T),
    /// The rows asked for don't fit into a message.
    TooLarge(tikv_client::Error),
}

/// The attempts of one call so far.
pub(super) struct Attempts<'a> {
    name: &'static str,
    key: Option<&'a [u8]>,
    attempt: u32,
    last: Option<SharedError>,
    pub(super) deadline: Deadline,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(name: &'static str, key: Option<&'a [u8]>, deadline: Deadline) -> Self {
        Self { name, key, attempt: 0, last: None, deadline }
    }

    /// Counts an attempt.
    pub(super) fn begin(&mut self) {
        self.attempt += 1;
    }

    /// An error that no further attempt helps against.
    pub(super) fn lasting(&self, source: impl Into<SharedError>) -> TitoError {
        TitoError::Storage { operation: self.name, source: self.failed(source.into(), false) }
    }

    /// An error of a call that is not made again here.
    pub(super) fn failed_once(&self, error: tikv_client::Error) -> TitoError {
        match Failure::of(&error) {
            Failure::Lasting | Failure::TooLarge => self.lasting(error),
            Failure::Passing | Failure::Orphan { .. } => {
                TitoError::Unavailable { operation: self.name, source: self.failed(error.into(), true) }
            }
        }
    }

    /// The deadline passed.
    pub(super) fn passed(&mut self) -> TitoError {
        let (key, last) = (self.key.map(KeyText::from), self.last.take());
        let deadline_millis = self.deadline.allowed_millis();
        let source = TiKVError::Deadline { call: self.name, key, attempt: self.attempt, deadline_millis, last };
        TitoError::Unavailable { operation: self.name, source: source.into() }
    }

    /// Waits before the next attempt. An error if there is none.
    pub(super) async fn again(&mut self, error: impl Into<SharedError>, budget: u32) -> Result<()> {
        if self.attempt > budget {
            return Err(TitoError::Unavailable { operation: self.name, source: self.failed(error.into(), true) });
        }
        self.last = Some(error.into());
        match self.deadline.pause(self.attempt).await {
            Ok(()) => Ok(()),
            Err(Passed) => Err(self.passed()),
        }
    }

    fn failed(&self, source: SharedError, retry_can_help: bool) -> SharedError {
        let (call, key) = (self.name, self.key.map(KeyText::from));
        TiKVError::Call { call, key, attempt: self.attempt, retry_can_help, source }.into()
    }
}

impl Core {
    /// Makes a read until it is answered: past busy servers, regions that move and connections that break, and past
    /// the locks of clients that died.
    pub(super) async fn read<T, F>(
        &self,
        slot: usize,
        call: &Call<'_>,
        deadline: Deadline,
        mut read: impl FnMut(TransactionClient) -> F,
    ) -> Result<Answer<T>>
    where
        F: Future<Output = ClientResult<T>>,
    {
        let mut attempts = Attempts::new(call.name, call.key, deadline);
        loop {
            self.check_open()?;
            attempts.begin();
            let client = self.connections.get(slot).client;
            let error = match deadline.bound(read(client.clone())).await {
                Ok(Ok(value)) => return Ok(Answer::Done(value)),
                Ok(Err(error)) => error,
                Err(Passed) => return Err(attempts.passed()),
            };
            match Failure::of(&error) {
                Failure::Passing => {}
                Failure::TooLarge => return Ok(Answer::TooLarge(error)),
                Failure::Lasting => return Err(attempts.lasting(error)),
                Failure::Orphan { start } => {
                    // What goes wrong here is met again by the next attempt.
                    let healing = self.heal(&client, call.range, start);
                    if let Ok(Err(error)) = deadline.bound(healing).await {
                        tracing::debug!(%error, start, "could not heal the locks of a dead transaction yet");
                    }
                }
            }
            attempts.again(error, self.settings.retry_budget).await?;
        }
    }

    /// Asks PD for something that needs a timestamp, and returns it with the client that got it.
    ///
    /// A stream of timestamps that stays open and answers nothing hangs for ever, without an error, and with it all of
    /// its client. So a client that gives no timestamp within the time of one request is replaced.
    pub(super) async fn ask_pd<T, F>(
        &self,
        slot: usize,
        name: &'static str,
        mut ask: impl FnMut(TransactionClient) -> F,
    ) -> Result<(TransactionClient, T)>
    where
        F: Future<Output = ClientResult<T>>,
    {
        let deadline = Deadline::after(self.settings.call_deadline);
        let mut attempts = Attempts::new(name, None, deadline);
        loop {
            self.check_open()?;
            attempts.begin();
            let connection = self.connections.get(slot);
            let error: SharedError =
                match deadline.within(self.settings.rpc_timeout).bound(ask(connection.client.clone())).await {
                    Ok(Ok(value)) => return Ok((connection.client, value)),
                    Ok(Err(error)) if Failure::of(&error) == Failure::Lasting => return Err(attempts.lasting(error)),
                    Ok(Err(error)) => error.into(),
                    Err(Passed) if deadline.is_past() => return Err(attempts.passed()),
                    Err(Passed) => match deadline.bound(self.connections.replace(&connection)).await {
                        Ok(Ok(())) => "PD gave no timestamp on the connection".into(),
                        Ok(Err(error)) => error.into(),
                        Err(Passed) => return Err(attempts.passed()),
                    },
                };
            attempts.again(error, self.settings.retry_budget).await?;
        }
    }
}
