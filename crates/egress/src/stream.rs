//! How do bytes pass without any being lost, and how many were they?

use crate::budget::Allowance;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// A stream whose first bytes were read already and are given again.
#[derive(Debug)]
pub struct Rewound<S> {
    first: Vec<u8>,
    at: usize,
    inner: S,
}

impl<S> Rewound<S> {
    /// Puts `first` before whatever `inner` yields next.
    pub fn new(first: Vec<u8>, inner: S) -> Self {
        Self { first, at: 0, inner }
    }

    /// The stream itself.
    pub(crate) fn inner(&self) -> &S {
        &self.inner
    }

    /// Puts `bytes` back before what is not read yet.
    pub(crate) fn unread(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(self.first.get(self.at..).unwrap_or_default());
        self.first = bytes;
        self.at = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = this.first.get(this.at..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let part = left.get(..buf.remaining()).unwrap_or(left);
        buf.put_slice(part);
        this.at += part.len();
        if this.at == this.first.len() {
            this.first = Vec::new();
            this.at = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Counts of one connection, shared between the stream that counts and the tunnel that reports.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    out: AtomicU64,
    back: AtomicU64,
    last_ms: AtomicU64,
    budget_out: u64,
    allowances: Vec<Arc<Allowance>>,
    spent: AtomicBool,
}

impl Meter {
    /// A meter that lets `budget_out` bytes leave, as far as the allowances that it shares have them.
    pub(crate) fn new(budget_out: u64, allowances: Vec<Arc<Allowance>>) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            out: AtomicU64::new(0),
            back: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            budget_out,
            allowances,
            spent: AtomicBool::new(false),
        })
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.out.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.back.load(Ordering::Relaxed)
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Completes once nothing has passed for `limit`.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let last = self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            if Instant::now() >= last + limit {
                return;
            }
            sleep_until(last + limit).await;
        }
    }

    /// How many more bytes may leave.
    fn left(&self) -> u64 {
        let own = self.budget_out.saturating_sub(self.bytes_out());
        self.allowances.iter().map(|shared| shared.bytes_left()).fold(own, u64::min)
    }

    fn leave(&self, count: u64) {
        self.out.fetch_add(count, Ordering::Relaxed);
        for shared in &self.allowances {
            shared.spend_bytes(count);
        }
    }

    fn touch(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }
}

/// A stream to an upstream that is counted: what is written to it leaves, what is read from it comes back.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(crate) fn new(inner: S, meter: Arc<Meter>) -> Self {
        meter.touch();
        Self { inner, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if polled.is_ready() {
            let count = buf.filled().len().saturating_sub(before) as u64;
            this.meter.back.fetch_add(count, Ordering::Relaxed);
            this.meter.touch();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let left = this.meter.left();
        let part = usize::try_from(left).ok().and_then(|left| buf.get(..left)).unwrap_or(buf);
        if part.is_empty() && !buf.is_empty() {
            this.meter.spent.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other(
                "the byte budget of this connection is spent",
            )));
        }
        let polled = Pin::new(&mut this.inner).poll_write(cx, part);
        if let Poll::Ready(Ok(count)) = &polled {
            this.meter.leave(*count as u64);
            this.meter.touch();
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
