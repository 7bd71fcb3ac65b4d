//! What passes once a request has become a WebSocket? Bytes, counted, until either side ends.

use super::RequestJudge;
use super::Session;
use super::body::{Outgoing, Payload};
use super::request::{HttpRequest, set_host};
use crate::refuse::{Refusal, Status};
use crate::stream::Rewound;
use crate::terms::Ended;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};

/// Asks the target for the WebSocket, on a connection of its own.
pub(super) async fn ask<J: RequestJudge>(
    session: &Session<J>,
    request: &HttpRequest,
    (mut parts, body): (Parts, Incoming),
) -> Result<(Response<Incoming>, Option<Upgraded>), Refusal> {
    set_host(&mut parts.headers, &session.upstream.target, request.is_secure())?;
    parts.uri = request.uri(&session.upstream.target, request.query())?;
    let count = Arc::new(AtomicU64::new(0));
    let outgoing =
        Request::from_parts(parts, Outgoing::new(Payload::streamed(body, None), (count, u64::MAX)));
    let mut response = session.upstream.upgrade(outgoing).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok((response, None));
    }
    let upgraded = hyper::upgrade::on(&mut response).await.map_err(|_| {
        Refusal::new(Status::BadGateway, "upstream-failed", "the WebSocket broke off")
    })?;
    Ok((response, Some(upgraded)))
}

/// Relays both ways; `early` is what the client said before it was answered.
pub(super) async fn relay<S>(client: S, early: Vec<u8>, upstream: Upgraded) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Rewound::new(early, client);
    let mut upstream = TokioIo::new(upstream);
    let copied = copy_bidirectional(&mut client, &mut upstream).await;
    copied.map(drop).map_err(|error| Ended::Broken(error.kind()))
}
