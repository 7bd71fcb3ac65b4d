//! How do many clients come in over the network? One listener; each connection is taken in, checked and served, and none
//! of them can starve the others.

pub(crate) mod host;

use crate::identity::porter::Porter;
use bartizan_egress::Inbound;
use bartizan_mcp::conversation::Host;
use bartizan_mcp::front::Front;
use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// In all.
    pub(crate) total: usize,
    /// From one address.
    pub(crate) each: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { total: 2048, each: 512 }
    }
}

/// Serves until `until` resolves; then nobody new comes in, and whoever is in is told that it is over.
pub(crate) async fn serve<H: Host>(
    listener: TcpListener,
    inbound: Inbound,
    front: Arc<Front<H, Porter>>,
    crowd: Crowd,
    until: impl Future<Output = ()>,
) {
    let places = Arc::new(Places { crowd, taken: Mutex::default() });
    let mut watch = interval(PATROL);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => break,
            _ = watch.tick() => front.patrol(),
            taken = listener.accept() => match taken {
                Ok((stream, peer)) => {
                    // Whoever is one too many is let go without a word: words would cost more than they do.
                    if let Some(place) = Place::take(&places, peer.ip()) {
                        drop(tokio::spawn(one(inbound.clone(), Arc::clone(&front), stream, place)));
                    }
                }
                // Out of file descriptors, mostly: others will close theirs.
                Err(_) => sleep(BREATH).await,
            },
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

/// Who holds how many connections.
struct Places {
    crowd: Crowd,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; free again when this goes.
struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Place {
    fn take(places: &Arc<Places>, peer: IpAddr) -> Option<Self> {
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&peer).copied().unwrap_or(0);
        if own >= places.crowd.each || taken.values().sum::<usize>() >= places.crowd.total {
            return None;
        }
        taken.insert(peer, own + 1);
        Some(Self { places: Arc::clone(places), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.peer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.peer)),
        }
    }
}

const PATROL: Duration = Duration::from_secs(1);
const BREATH: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
