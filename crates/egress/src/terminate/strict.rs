//! Is every byte of this HTTP/1 connection one that no two parsers read differently?
//!
//! Stands between the box and hyper. Each head is read whole and checked by [`head`] before hyper sees a byte of
//! it, and each body is followed to its end by our own count; so hyper and we always agree where a request
//! begins, and a second request cannot hide in the first.

use crate::head::{self, Body, HEAD_LIMIT};
use crate::refuse::{Refusal, Status};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What the filter and the server tell each other.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    flaw: Mutex<Option<Refusal>>,
    upgraded: AtomicBool,
}

impl Signals {
    /// The flaw that closed the connection, once.
    pub(crate) fn take_flaw(&self) -> Option<Refusal> {
        self.flaw.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// From now on the bytes are no HTTP.
    pub(crate) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    fn set_flaw(&self, refusal: Refusal) {
        *self.flaw.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

/// A stream of HTTP/1 requests that has been checked. After a flaw it is at its end.
#[derive(Debug)]
pub(crate) struct Strict<S> {
    inner: S,
    signals: Arc<Signals>,
    state: State,
    /// What was read and not given yet; the first `checked` bytes of it may go.
    raw: Vec<u8>,
    checked: usize,
    head_time: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    ChunkEnd,
    ChunkSize,
    Closed,
    Data { left: u64, chunked: bool },
    Head,
    Trailers,
}

impl<S> Strict<S> {
    pub(crate) fn new(inner: S, signals: Arc<Signals>, head_time: Duration) -> Self {
        Self {
            inner,
            signals,
            state: State::Head,
            raw: Vec::new(),
            checked: 0,
            head_time,
            deadline: None,
        }
    }

    /// The stream, and what was read of it and not given.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.inner, self.raw)
    }

    /// Checks as much of what was read as can be checked.
    fn advance(&mut self) -> Result<(), Refusal> {
        loop {
            let rest = self.raw.get(self.checked..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            let (length, next) = match self.state {
                State::Closed => return Ok(()),
                State::Head => match head::parse(rest)? {
                    None => return Ok(()),
                    Some(head) => (head.len(), after_head(&head)),
                },
                State::Data { left, chunked } => {
                    let take = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    (take, after_data(left - take as u64, chunked))
                }
                State::ChunkSize => match chunk_size(rest)? {
                    None => return Ok(()),
                    Some((length, 0)) => (length, State::Trailers),
                    Some((length, left)) => (length, State::Data { left, chunked: true }),
                },
                State::ChunkEnd => match rest {
                    [b'\r'] => return Ok(()),
                    [b'\r', b'\n', ..] => (2, State::ChunkSize),
                    _ => return Err(bad("a chunk does not end where its size says")),
                },
                State::Trailers => match trailers(rest)? {
                    None => return Ok(()),
                    Some(length) => (length, State::Head),
                },
            };
            self.checked += length;
            self.state = next;
        }
    }

    /// Gives checked bytes, as many as fit.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.checked.min(buf.remaining());
        buf.put_slice(self.raw.get(..count).unwrap_or_default());
        if count == self.raw.len() {
            self.raw.clear();
        } else {
            self.raw.drain(..count);
        }
        self.checked -= count;
    }

    /// Nothing more comes in; what was good before the flaw may still go.
    fn close(&mut self, refusal: Refusal) {
        self.signals.set_flaw(refusal);
        self.state = State::Closed;
        self.raw.truncate(self.checked);
    }
}

impl<S: AsyncRead + Unpin> Strict<S> {
    /// A body's bytes need no look: straight into the caller's buffer, as many as belong to it.
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        (left, chunked): (u64, bool),
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        buf.advance(count);
        self.state = after_data(left - count as u64, chunked);
        Poll::Ready(Ok(()))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [0u8; 8192];
        let mut read = ReadBuf::new(&mut chunk);
        let polled = Pin::new(&mut self.inner).poll_read(cx, &mut read);
        if polled.is_pending() && self.state == State::Head && !self.raw.is_empty() {
            let time = self.head_time;
            let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(time)));
            ready!(deadline.as_mut().poll(cx));
            self.close(Refusal::new(
                Status::RequestTimeout,
                "head-timeout",
                "the request did not arrive in time",
            ));
            return Poll::Ready(Ok(0));
        }
        ready!(polled)?;
        self.raw.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.signals.upgraded.load(Ordering::Acquire) {
                // Whoever upgraded takes the rest from below.
                return Poll::Pending;
            }
            if this.checked > 0 {
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            match this.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Data { left, chunked } if this.raw.is_empty() && left > 0 => {
                    return this.poll_data(cx, buf, (left, chunked));
                }
                _ => {}
            }
            if ready!(this.poll_more(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Err(refusal) = this.advance() {
                this.close(refusal);
            }
            if this.state != State::Head || this.checked > 0 {
                this.deadline = None;
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

fn after_head(head: &head::Head) -> State {
    match head.body() {
        Body::Chunked => State::ChunkSize,
        Body::Length(0) => State::Head,
        Body::Length(left) => State::Data { left, chunked: false },
    }
}

fn after_data(left: u64, chunked: bool) -> State {
    match (left, chunked) {
        (0, true) => State::ChunkEnd,
        (0, false) => State::Head,
        _ => State::Data { left, chunked },
    }
}

/// The length of a chunk's first line and the size that it gives. Extensions are refused: nobody sends them, and
/// parsers disagree about where one ends.
fn chunk_size(bytes: &[u8]) -> Result<Option<(usize, u64)>, Refusal> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > 15 {
        return Err(bad("a chunk's size has over 15 digits"));
    }
    let (size, rest) = bytes.split_at_checked(digits).unwrap_or((bytes, &[]));
    match rest {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => {
            let size =
                std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| bad("a chunk has no size"))?;
            Ok(Some((digits + 2, size)))
        }
        _ => Err(bad("a chunk's size is not a plain number")),
    }
}

/// The length of the trailers, which are checked as header lines and go no further.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    match bytes {
        [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => return Ok(Some(2)),
        _ => {}
    }
    // A head with these lines is acceptable exactly when the lines are.
    let mut text = TRAILER_HEAD.to_vec();
    text.extend_from_slice(bytes.get(..HEAD_LIMIT).unwrap_or(bytes));
    Ok(head::parse(&text)?.map(|head| head.len() - TRAILER_HEAD.len()))
}

fn bad(sentence: &'static str) -> Refusal {
    Refusal::new(Status::BadRequest, "malformed-request", sentence)
}

const TRAILER_HEAD: &[u8] = b"GET / HTTP/1.1\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    /// What passes of `bytes`, given in pieces of `piece` bytes, and the flaw's code.
    fn filter(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<String>) {
        let mut mock = tokio_test_stream(bytes, piece);
        let signals = Arc::<Signals>::default();
        let mut out = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut strict = Strict::new(&mut mock, Arc::clone(&signals), Duration::from_secs(10));
            strict.read_to_end(&mut out).await.unwrap();
        });
        (out, signals.take_flaw().map(|flaw| flaw.code().to_owned()))
    }

    struct Pieces<'a>(&'a [u8], usize);

    fn tokio_test_stream(bytes: &[u8], piece: usize) -> Pieces<'_> {
        Pieces(bytes, piece.max(1))
    }

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = self.1.min(self.0.len()).min(buf.remaining());
            let (now, rest) = self.0.split_at(count);
            buf.put_slice(now);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    const GOOD: &[u8] = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: a\r\n\r\n\
        PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1A\r\n0123456789abcdef0123456789\r\n0\r\nX-Sum: 1\r\n\r\n\
        GET /d HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn good_requests_pass_byte_for_byte_however_they_are_cut() {
        for piece in [1, 2, 3, 7, 64, 10_000] {
            assert_eq!(filter(GOOD, piece), (GOOD.to_vec(), None), "{piece}");
        }
    }

    #[test]
    fn a_second_request_cannot_hide_in_the_first() {
        let first = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";
        for evil in [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n",
            "get\0 / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            for piece in [1, 9_999] {
                let (passed, flaw) = filter(format!("{first}{evil}").as_bytes(), piece);
                assert_eq!(passed, first.as_bytes(), "{evil:?}");
                assert_eq!(flaw.as_deref(), Some("malformed-request"), "{evil:?}");
            }
        }
    }

    #[test]
    fn a_sloppy_chunk_ends_the_connection() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in [
            "3;ext=1\r\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "+3\r\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "3\nabc\r\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "\r\nabc\r\n",
            "fffffffffffffffff\r\nabc",
            "0\r\nX : y\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let (passed, flaw) = filter(format!("{head}{body}").as_bytes(), 1);
            assert_eq!(flaw.as_deref(), Some("malformed-request"), "{body:?}");
            assert!(!String::from_utf8_lossy(&passed).contains("smuggled"), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_cuts_do_not_matter(
            noise in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..400, piece in 1usize..50,
        ) {
            let mut bytes = GOOD.to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..at, noise);
            prop_assert_eq!(filter(&bytes, piece), filter(&bytes, 10_000));
        }
    }
}
