//! Do the bytes speak to the host that was judged, and how much passed?
//!
//! [`Tunnel::carry`] takes a connection whose intent policy has allowed. It checks the first bytes before
//! they leave, resolves and dials the target, and relays until an end, a limit, or a drop of the future,
//! which closes both sides at once.

mod opening;
mod trip;

pub use crate::terms::{EncryptedHello, Ended, Passage, Tls, TunnelLimits, TunnelReport};

use crate::budget::Allowances;
use crate::capture::Captured;
use crate::name::{HostPort, SecretName};
use crate::refuse::{Refusal, Status};
use crate::resolve::{Reach, Resolver};
use crate::stream::Meter;
use crate::terminate::{Allowed, HttpOutcome, HttpRequest, RequestJudge, Terminator};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use trip::Trip;

/// Carries allowed connections to their targets.
#[derive(Debug, Clone)]
pub struct Tunnel {
    resolver: Resolver,
    limits: TunnelLimits,
    allowances: Arc<Allowances>,
}

impl Tunnel {
    /// A tunnel-maker.
    pub fn new(resolver: Resolver, limits: TunnelLimits) -> Self {
        Self { resolver, limits, allowances: Arc::default() }
    }

    /// The same, drawing on the allowances of a session.
    #[must_use = "a tunnel-maker is a value"]
    pub fn drawing_on(self, allowances: Arc<Allowances>) -> Self {
        Self { allowances, ..self }
    }

    /// Whether on this port nothing passes but requests that can be judged.
    pub fn carries_requests_only(&self, port: u16) -> bool {
        self.limits.tls_ports.contains(&port) || self.limits.http_ports.contains(&port)
    }

    /// Carries `captured`, which was allowed, to its target within `reach`.
    ///
    /// Every failure is in the report, and the client was told where its protocol can tell. Dropping the
    /// future closes both sides.
    pub async fn carry<S>(&self, captured: Captured<S>, reach: Reach) -> TunnelReport
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let passage = Passage { reach, tls: Tls::PassThrough };
        self.pass::<S, Nobody>(captured, passage, None).await
    }

    /// The same for a connection whose requests are judged, each by itself.
    pub async fn carry_judged<S, J>(
        &self,
        captured: Captured<S>,
        passage: Passage,
        terminator: Arc<Terminator>,
        judge: Arc<J>,
    ) -> TunnelReport
    where
        S: AsyncRead + AsyncWrite + Unpin,
        J: RequestJudge,
    {
        self.pass(captured, passage, Some((terminator, judge))).await
    }

    async fn pass<S, J>(
        &self,
        captured: Captured<S>,
        passage: Passage,
        court: Option<(Arc<Terminator>, Arc<J>)>,
    ) -> TunnelReport
    where
        S: AsyncRead + AsyncWrite + Unpin,
        J: RequestJudge,
    {
        let (intent, client) = captured.into_parts();
        let allowances = self.allowances.of(intent.target());
        let meter = Meter::new(self.limits.bytes_out, allowances);
        let mut trip = Trip {
            tunnel: self,
            target: intent.target().clone(),
            kind: intent.kind(),
            passage,
            court,
            meter: Arc::clone(&meter),
            address: None,
            sni: None,
        };
        let running = Box::pin(trip.run(client, &intent));
        let lifetime = sleep(self.limits.lifetime);
        let ended = tokio::select! {
            ended = running => ended,
            () = lifetime => Err(Ended::TooLong),
        };
        let ended = match ended {
            _ if meter.is_spent() => Ended::OverBudget,
            Ok(()) => Ended::Finished,
            Err(ended) => ended,
        };
        TunnelReport {
            bytes_out: meter.bytes_out(),
            bytes_in: meter.bytes_in(),
            address: trip.address,
            sni: trip.sni,
            ended,
        }
    }
}

/// The judge of a connection whose requests are not judged: there is never a case.
struct Nobody;

impl RequestJudge for Nobody {
    type Ticket = ();

    async fn before(&self, _: &HostPort, _: &HttpRequest) -> Result<Allowed<()>, Refusal> {
        Err(unclear("nobody judges requests here"))
    }

    fn stopped(&self, _: &HostPort, _: &str, _: &Refusal) {}

    fn alarm(&self, _: &SecretName, _: &HostPort, _: &str) {}

    fn unread(&self, _: &HostPort, _: &str) -> bool {
        false
    }

    fn after(&self, (): (), _: HttpOutcome) {}
}

fn misdirected(code: &'static str, sentence: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Status::Misdirected, code, sentence)
}

fn unclear(sentence: &'static str) -> Refusal {
    misdirected("unclear-protocol", sentence)
}
