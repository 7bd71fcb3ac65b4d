//! How is an answer read that takes as long as it likes? Piece by piece, each as it comes.
//!
//! A value that the server echoes is not taken out here: whoever reads the pieces leads them the way out, past a
//! redactor in which the vault hides what it lends.

use super::{Courier, Errand, HEAD, Lost, Trip, build, late, plain};
use crate::refuse::{Refusal, Status};
use bartizan_gate::effect::Warrant;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// An answer that has begun. Dropped, it closes its connection.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Limited<Incoming>,
    _sender: SendRequest<Full<Bytes>>,
    _connection: JoinSet<()>,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The value of a header, if it is text and stands there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    }

    /// The next piece of the content; `None` after the last.
    pub async fn piece(&mut self) -> Option<Result<Bytes, Refusal>> {
        loop {
            let Ok(frame) = self.body.frame().await? else {
                let text = "the answer is longer than it may be, or did not arrive whole";
                return Some(Err(Refusal::new(Status::BadGateway, "answer-cut", text)));
            };
            // Trailers say nothing to us.
            if let Ok(data) = frame.into_data() {
                return Some(Ok(data));
            }
        }
    }
}

impl Courier {
    /// Carries one request, under the warrant that grants its host and its secret, and gives the answer once it begins,
    /// which must be within the errand's time.
    pub async fn open(&self, warrant: &Warrant<'_>, errand: Errand) -> Result<Answer, Lost> {
        let secret = self.secret(warrant, &errand).await?;
        let request = build(&errand, secret.as_deref()).map_err(Lost::Unsent)?;
        let trip = Trip::default();
        let begun = timeout(errand.time, self.begin(&errand, request, &trip)).await;
        begun.unwrap_or_else(|_| Err(late())).map_err(|why| trip.lost(why))
    }

    async fn begin(
        &self,
        errand: &Errand,
        request: Request<Full<Bytes>>,
        trip: &Trip,
    ) -> Result<Answer, Refusal> {
        let stream = self.dial(errand).await?;
        if errand.secure {
            let stream = self.secured(&errand.target, stream).await?;
            answer(stream, request, errand.answer, trip).await
        } else {
            answer(stream, request, errand.answer, trip).await
        }
    }
}

async fn answer<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    most: usize,
    trip: &Trip,
) -> Result<Answer, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |text: &'static str| Refusal::new(Status::BadGateway, "upstream-failed", text);
    let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) =
        handshake.map_err(|_| failed("the server does not speak HTTP"))?;
    let mut carried = JoinSet::new();
    carried.spawn(async move { drop(connection.await) });
    sender.ready().await.map_err(|_| failed("the server does not speak HTTP"))?;
    let response = trip.answered(&mut sender, request).await?;
    plain(response.headers())?;
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: Limited::new(body, most),
        _sender: sender,
        _connection: carried,
    })
}
