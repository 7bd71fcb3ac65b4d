//! How do many clients come in over the network? One listener; each connection is taken in, checked and served, and none
//! of them can starve the others.

pub(crate) mod crowd;
pub(crate) mod host;

use crate::identity::porter::Porter;
use bartizan_egress::{Client, Inbound};
use bartizan_mcp::conversation::Host;
use bartizan_mcp::front::{Certificate, Front};
use crowd::{Crowd, Place, Places};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Serves until `until` resolves; then nobody new comes in, and whoever is in is told that it is over.
pub(crate) async fn serve<H: Host>(
    listener: TcpListener,
    inbound: Inbound,
    front: Arc<Front<H, Porter>>,
    crowd: Crowd,
    until: impl Future<Output = ()>,
) {
    let places = Places::new(crowd);
    let mut watch = interval(PATROL);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => break,
            _ = watch.tick() => front.patrol(),
            (stream, place) = crowd::admit(&listener, &places) => {
                drop(tokio::spawn(one(inbound.clone(), Arc::clone(&front), stream, place)));
            }
        }
    }
    front.close();
    sleep(BREATH).await;
}

async fn one<H: Host>(
    inbound: Inbound,
    front: Arc<Front<H, Porter>>,
    stream: TcpStream,
    place: Place,
) {
    let client = match inbound.take(stream).await {
        Ok(client) => client,
        Err(not_taken) => {
            // A client that breaks off in its handshake has said nothing; one that showed a certificate has.
            if let Some(code) = not_taken.flaw() {
                front.noted(code);
            }
            return;
        }
    };
    let (certificate, revoked) = (shown(&client), client.revoked());
    let served = tokio::select! {
        served = Arc::clone(&front).serve(client, certificate) => served,
        // Dropped as it is, with all that is still asked over it.
        code = revoked => return front.noted(code),
    };
    if let Some(code) = served.stream.close().await {
        front.noted(match code.as_str() {
            "head-timeout" => "head-timeout",
            "head-too-large" => "head-too-large",
            _ => "malformed-request",
        });
    }
    drop(place);
}

/// What a client's certificate says of it.
fn shown(client: &Client) -> Option<Certificate> {
    let certificate = client.certificate()?;
    let (dns, uris) = (certificate.dns.clone(), certificate.uris.clone());
    let (ends_s, sha256) = (certificate.ends_s, certificate.sha256);
    Some(Certificate { dns, uris, ends_s, sha256 })
}

const PATROL: Duration = Duration::from_secs(1);
const BREATH: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
