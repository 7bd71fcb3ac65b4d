//! How is one connection served? HTTP/1.1 over any stream, with an end to every wait.

use super::{Certificate, Doorman, Front};
use crate::conversation::Host;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a wait that is left out has no end")]
pub struct Times {
    /// For a request's head, and between two requests.
    pub head: Duration,
    /// For a request's body.
    pub body: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { head: Duration::from_mins(1), body: Duration::from_secs(30) }
    }
}

/// A connection that was served to its end, so that its owner can say a last word.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is handed back whole")]
pub struct Served<S> {
    /// The stream.
    pub stream: S,
}

impl<H: Host, D: Doorman> Front<H, D> {
    /// Serves one connection, which began with this certificate if with any, until either end closes it.
    pub async fn serve<S>(self: Arc<Self>, stream: S, certificate: Option<Certificate>) -> Served<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let service = service_fn(|request| {
            let (front, certificate) = (Arc::clone(&self), certificate.as_ref());
            // A box, since the future is large and a connection mostly waits.
            Box::pin(async move { Ok::<_, Infallible>(front.answer(request, certificate).await) })
        });
        let mut connection = http1::Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(HEADERS)
            .timer(TokioTimer::new())
            .header_read_timeout(self.times.head)
            .serve_connection(TokioIo::new(stream), service);
        // A client that breaks off or sends nonsense has ended the connection, and that is all.
        drop(poll_fn(|cx| connection.poll_without_shutdown(cx)).await);
        Served { stream: connection.into_parts().io.into_inner() }
    }
}

const BUFFER: usize = 64 << 10;
const HEADERS: usize = 64;
