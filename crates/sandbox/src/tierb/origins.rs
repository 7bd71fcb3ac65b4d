//! Which connection to our listeners is the box's, and whom did it really want?
//!
//! In tier B the listeners stand on the host's loopback, where anybody can call. Only a socket that the supervisor has
//! itself connected for the box is served: its own end is written down before it connects, and a copy of the socket is held
//! until the other end is accepted, so that nobody else can come from that end meanwhile.
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tells a box's own connections from others.
#[derive(Clone, Debug, Default)]
pub struct Origins(Option<Arc<Mutex<Book>>>);

#[derive(Debug, Default)]
struct Book {
    waiting: BTreeMap<SocketAddr, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    destination: SocketAddr,
    since: Instant,
    /// Keeps the end from becoming anybody else's.
    _socket: OwnedFd,
}

impl Origins {
    /// A book in which connections are written down: nothing else is served.
    pub(crate) fn written() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether the listeners stand where others can reach them too, so that every connection must be asked about.
    pub fn must_ask(&self) -> bool {
        self.0.is_some()
    }

    /// Where an accepted connection was meant to go. An error means that it is not the box's: it must be dropped.
    pub fn destination(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        let Some(book) = &self.0 else { return crate::original_destination(stream) };
        let peer = canonical(stream.peer_addr()?);
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = book.waiting.remove(&peer);
        waiting
            .map(|waiting| waiting.destination)
            .ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied))
    }

    /// Writes down that `socket`, whose own end is `end`, is about to connect for the box. Refused when too many wait, and
    /// when nobody serves: our listeners are closed then, and anybody may have taken their ports.
    pub(crate) fn expect(
        &self,
        end: SocketAddr,
        destination: SocketAddr,
        socket: OwnedFd,
    ) -> Result<(), Errno> {
        let Some(book) = self.0.as_ref().filter(|book| Arc::strong_count(book) > 1) else {
            return Err(Errno::CONNREFUSED);
        };
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        book.waiting.retain(|_, waiting| waiting.since.elapsed() < LONGEST_WAIT);
        if book.waiting.len() >= MOST_WAITING {
            return Err(Errno::AGAIN);
        }
        // An end that waits already is under way; what was written of it first stands.
        book.waiting.entry(canonical(end)).or_insert(Waiting {
            destination,
            since: Instant::now(),
            _socket: socket,
        });
        Ok(())
    }

    /// Strikes out a connection that did not come about.
    pub(crate) fn forget(&self, end: SocketAddr) {
        if let Some(book) = &self.0 {
            book.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&canonical(end));
        }
    }
}

/// An IPv4 address in IPv6 clothes is the IPv4 address.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Longer than any accept takes; then the socket copy is given up with the entry.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const MOST_WAITING: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_caller_that_was_not_written_down_is_refused_and_one_that_was_is_served_once() {
        let origins = Origins::written();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "plays a stranger")]
        let stranger = TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(origins.destination(&accepted).is_err());
        let wanted: SocketAddr = "192.0.2.7:443".parse().unwrap();
        let end = stranger.local_addr().unwrap();
        let served = origins.clone();
        origins.expect(end, wanted, stranger.into()).unwrap();
        drop(served);
        assert_eq!(origins.destination(&accepted).unwrap(), wanted);
        assert!(origins.destination(&accepted).is_err());
    }

    #[test]
    fn only_so_many_wait_at_once_and_nobody_when_nobody_serves() {
        let origins = Origins::written();
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let wanted = "192.0.2.7:443".parse().unwrap();
        let expect = |port| origins.expect(([127, 0, 0, 1], port).into(), wanted, file());
        assert_eq!(expect(1), Err(Errno::CONNREFUSED));
        let served = origins.clone();
        for port in 0..u16::try_from(MOST_WAITING).unwrap() {
            assert_eq!(expect(port), Ok(()));
        }
        assert_eq!(expect(60_000), Err(Errno::AGAIN));
        origins.forget(([127, 0, 0, 1], 0).into());
        assert_eq!(expect(60_000), Ok(()));
        drop(served);
    }
}
