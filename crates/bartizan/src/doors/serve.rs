//! How do many clients come in over the network? One listener; each connection is taken in, checked and served, and none
//! of them can starve the others.

pub(crate) mod crowd;
pub(crate) mod host;

use crate::identity::porter::Porter;
use bartizan_egress::Inbound;
use bartizan_mcp::conversation::Host;
use bartizan_mcp::front::Front;
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
    // A client that breaks off in its handshake has said nothing.
    let Ok(client) = inbound.take(stream).await else { return };
    let served = Arc::clone(&front).serve(client).await;
    if let Some(code) = served.stream.close().await {
        front.noted(match code.as_str() {
            "head-timeout" => "head-timeout",
            "head-too-large" => "head-too-large",
            _ => "malformed-request",
        });
    }
    drop(place);
}

const PATROL: Duration = Duration::from_secs(1);
const BREATH: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
