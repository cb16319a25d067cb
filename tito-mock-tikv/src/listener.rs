//! A server's accepted connections, which can be cut from outside.
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::stream::{self, Stream};
use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tonic::transport::server::Connected;

/// The open connections of one server.
#[derive(Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
    closed: Notify,
}

#[derive(Default)]
struct Open {
    last_id: u64,
    lines: HashMap<u64, Arc<Line>>,
}

/// What a connection shares with whoever may cut it.
#[derive(Default)]
struct Line {
    /// Whether it is an in-process call, which its caller holds rather than the server.
    in_process: bool,
    cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Connections {
    /// Accepts connections as long as the stream is held.
    pub(crate) fn accept(
        self: &Arc<Self>,
        listener: TcpListener,
    ) -> impl Stream<Item = io::Result<Connection>> + use<> {
        stream::unfold((self.clone(), listener), |(connections, listener)| async move {
            let accepted = listener.accept().await.and_then(|(stream, _)| {
                // Calls are small and answered immediately; waiting to fill a packet would cost 40 ms a call.
                stream.set_nodelay(true)?;
                Ok(connections.open(stream))
            });
            Some((accepted, (connections, listener)))
        })
    }

    fn open(self: &Arc<Self>, stream: TcpStream) -> Connection {
        Connection { stream, line: self.open_line(false) }
    }

    /// Registers a new connection, or an in-process call that acts like one.
    pub(crate) fn open_line(self: &Arc<Self>, in_process: bool) -> OpenLine {
        let line = Arc::new(Line { in_process, ..Line::default() });
        let mut open = self.lock();
        open.last_id += 1;
        let id = open.last_id;
        open.lines.insert(id, line.clone());
        OpenLine { line, id, connections: self.clone() }
    }

    /// Makes every open connection fail, as a broken cable would.
    pub(crate) fn cut(&self) {
        for line in self.lock().lines.values() {
            line.cut.store(true, Ordering::Release);
            line.reader.wake();
            line.writer.wake();
        }
    }

    /// Waits until no connection is open. In-process calls are cut and left to their callers.
    pub(crate) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.lock().lines.values().all(|line| line.in_process) {
                return;
            }
            closed.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TCP connection that fails when it is cut.
pub(crate) struct Connection {
    stream: TcpStream,
    line: OpenLine,
}

/// An open connection; dropping this closes it.
pub(crate) struct OpenLine {
    line: Arc<Line>,
    id: u64,
    connections: Arc<Connections>,
}

impl OpenLine {
    /// Whether the line was cut; if not, the task is woken when it is.
    pub(crate) fn is_cut(&self, context: &Context<'_>) -> bool {
        self.line.check(&self.line.reader, context).is_err()
    }
}

impl Line {
    fn check(&self, waker: &AtomicWaker, context: &Context<'_>) -> io::Result<()> {
        // Register before checking, so that a cut in between is not missed.
        waker.register(context.waker());
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        self.connections.lock().lines.remove(&self.id);
        self.connections.closed.notify_waiters();
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.line.check(&self.line.line.reader, context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line.line.check(&self.line.line.writer, context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.line.check(&self.line.line.writer, context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.line.check(&self.line.line.writer, context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
