//! Who may hold a connection? So many in all, and so many from one address, so that nobody starves the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

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

/// The next client that there is room for. Whoever is one too many is let go without a word: words would cost more than
/// they do.
pub(crate) async fn admit(listener: &TcpListener, places: &Arc<Places>) -> (TcpStream, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(place) = Place::take(places, peer.ip()) {
                    return (stream, place);
                }
            }
            // Out of file descriptors, mostly: others will close theirs.
            Err(_) => sleep(BREATH).await,
        }
    }
}

/// Who holds how many connections.
pub(crate) struct Places {
    crowd: Crowd,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    /// All of them free.
    pub(crate) fn new(crowd: Crowd) -> Arc<Self> {
        Arc::new(Self { crowd, taken: Mutex::default() })
    }
}

/// One connection's place; free again when this goes.
pub(crate) struct Place {
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

const BREATH: Duration = Duration::from_millis(100);
