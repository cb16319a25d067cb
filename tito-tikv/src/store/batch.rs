//! Many requests over one stream.
use std::collections::HashMap;
use std::time::Duration;

use futures::future::OptionFuture;
use tito_tikv_proto::tikvpb::batch_commands_request::Request;
use tito_tikv_proto::tikvpb::batch_commands_request::request::Cmd as Command;
use tito_tikv_proto::tikvpb::batch_commands_response::response::Cmd as Answered;
use tito_tikv_proto::tikvpb::tikv_client::TikvClient;
use tito_tikv_proto::tikvpb::{BatchCommandsRequest, BatchCommandsResponse};
use tokio::sync::{mpsc, oneshot};
use tonic::{Response, Status, Streaming};

use crate::transport::{BoxFuture, Connection};

/// How many requests go in one message at most, as in TiDB's client.
const TOGETHER: usize = 128;

/// How many requests may wait to be sent.
const WAITING: usize = 4_096;

/// How many messages may be on their way into the stream.
const MESSAGES: usize = 16;

/// How often a stream into which nothing is sent any more looks whether somebody waits for an answer yet.
const LOOK: Duration = Duration::from_secs(1);

type Answer = oneshot::Sender<Result<Answered, Status>>;

/// The way into one stream of commands of a connection. The stream ends with the last of its ways.
#[derive(Clone, Debug)]
pub(crate) struct Batches(mpsc::Sender<(Command, Answer)>);

impl Batches {
    /// Opens a stream, in a task that lives as long as it does.
    pub(crate) fn start(client: TikvClient<Connection>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(Stream::new(client, receiver).run());
        Batches(sender)
    }

    /// Whether the stream has ended, and a new one has to be opened.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn send(&self, command: Command) -> Result<Answered, Status> {
        let (answer, answered) = oneshot::channel();
        let ended = |_| Status::unavailable("the stream of commands has ended");
        self.0.send((command, answer)).await.map_err(|_| ended(()))?;
        answered.await.map_err(|_| ended(()))?
    }
}

/// One stream of commands.
struct Stream {
    queue: mpsc::Receiver<(Command, Answer)>,
    messages: mpsc::Sender<BatchCommandsRequest>,
    opening: Option<BoxFuture<Result<Response<Streaming<BatchCommandsResponse>>, Status>>>,
    answers: Option<Streaming<BatchCommandsResponse>>,
    waiting: HashMap<u64, Answer>,
    last_id: u64,
}

impl Stream {
    fn new(mut client: TikvClient<Connection>, queue: mpsc::Receiver<(Command, Answer)>) -> Self {
        let (messages, mut outgoing) = mpsc::channel(MESSAGES);
        // The server may answer the opening only with the first answer, so it must not be waited for.
        let opening: BoxFuture<_> = Box::pin(async move {
            client.batch_commands(futures::stream::poll_fn(move |context| outgoing.poll_recv(context))).await
        });
        Stream { queue, messages, opening: Some(opening), answers: None, waiting: HashMap::new(), last_id: 0 }
    }

    /// Runs until the stream fails, or nobody can send anything any more and all is answered.
    async fn run(mut self) {
        let failed = loop {
            let is_over = self.queue.is_closed() && self.queue.is_empty();
            // An answer that nobody waits for any more is none to wait for either.
            if is_over && self.waiting.values().all(oneshot::Sender::is_closed) {
                return;
            }
            let opening: OptionFuture<_> = self.opening.as_mut().into();
            let answer: OptionFuture<_> = self.answers.as_mut().map(Streaming::message).into();
            // A place for the message first: as long as there is none, answers are read and nothing is taken.
            let next = next(&mut self.queue, self.messages.clone());
            let happened = tokio::select! {
                Some(opened) = opening => Happened::Opened(opened.map(|answers| Box::new(answers.into_inner()))),
                Some(answer) = answer => Happened::Answered(answer),
                next = next, if !is_over => Happened::Next(next),
                () = tokio::time::sleep(LOOK), if is_over => continue,
            };
            match happened {
                Happened::Opened(Ok(answers)) => {
                    self.opening = None;
                    self.answers = Some(*answers);
                }
                Happened::Opened(Err(status)) | Happened::Answered(Err(status)) => break status,
                Happened::Answered(Ok(Some(answer))) => self.hand_out(answer),
                Happened::Answered(Ok(None)) => break Status::unavailable("the store has ended the stream"),
                Happened::Next(Ok((place, Some(first)))) => {
                    let message = self.put_together(*first);
                    if !message.requests.is_empty() {
                        place.send(message);
                    }
                }
                Happened::Next(Ok((_, None))) => {}
                Happened::Next(Err(_)) => break Status::unavailable("the stream of commands is closed"),
            }
        };
        // Whatever was sent may have been done. What was not is told the same, which costs a request at most.
        self.queue.close();
        while let Ok((_, answer)) = self.queue.try_recv() {
            let _ = answer.send(Err(failed.clone()));
        }
        for (_, answer) in self.waiting.drain() {
            // Who gave up does not hear of it.
            let _ = answer.send(Err(failed.clone()));
        }
    }

    /// This command and those that wait already; none is waited for.
    fn put_together(&mut self, first: (Command, Answer)) -> BatchCommandsRequest {
        let mut message = BatchCommandsRequest::default();
        let mut next = Some(first);
        while let Some((command, answer)) = next {
            // Whoever gave up before it was sent has it not sent.
            if !answer.is_closed() {
                self.last_id += 1;
                message.request_ids.push(self.last_id);
                message.requests.push(Request { cmd: Some(command), ..Default::default() });
                self.waiting.insert(self.last_id, answer);
            }
            next = if message.requests.len() < TOGETHER { self.queue.try_recv().ok() } else { None };
        }
        if self.waiting.len() > WAITING {
            self.waiting.retain(|_, answer| !answer.is_closed());
        }
        message
    }

    fn hand_out(&mut self, answer: BatchCommandsResponse) {
        for (id, response) in answer.request_ids.into_iter().zip(answer.responses) {
            if let (Some(waiting), Some(answered)) = (self.waiting.remove(&id), response.cmd) {
                let _ = waiting.send(Ok(answered));
            }
        }
    }
}

type Next = (mpsc::OwnedPermit<BatchCommandsRequest>, Option<Box<(Command, Answer)>>);

enum Happened {
    Opened(Result<Box<Streaming<BatchCommandsResponse>>, Status>),
    Answered(Result<Option<BatchCommandsResponse>, Status>),
    Next(Result<Next, mpsc::error::SendError<()>>),
}

async fn next(
    queue: &mut mpsc::Receiver<(Command, Answer)>,
    messages: mpsc::Sender<BatchCommandsRequest>,
) -> Result<Next, mpsc::error::SendError<()>> {
    let place = messages.reserve_owned().await?;
    Ok((place, queue.recv().await.map(Box::new)))
}
