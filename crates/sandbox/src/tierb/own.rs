//! Which servers on loopback are the box's own?
//!
//! The box may serve itself: tests start servers. Whether a port is still the box's is asked of the kernel at each connect,
//! by the inode of the very socket that was bound for it.
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// Ports bound for the box.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<BTreeMap<u16, Bound>>);

#[derive(Clone, Copy, Debug)]
struct Bound {
    address: SocketAddr,
    inode: u64,
}

impl Own {
    pub(crate) fn note(&self, address: SocketAddr, inode: u64) {
        let address = super::origins::canonical(address);
        let mut ports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ports.len() >= MOST {
            ports.clear();
        }
        ports.insert(address.port(), Bound { address, inode });
    }

    /// Where the box's own server for `wanted` listens, if it has one there.
    pub(crate) fn find(&self, wanted: SocketAddr) -> Option<SocketAddr> {
        if !(wanted.ip().is_loopback() || wanted.ip().is_unspecified()) {
            return None;
        }
        let ports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = *ports.get(&wanted.port())?;
        drop(ports);
        let listens = ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
            fs::read_to_string(table).is_ok_and(|table| listed(&table, wanted.port(), bound.inode))
        });
        listens.then_some(bound.address)
    }
}

/// Whether the table has a listening socket of this port and inode.
fn listed(table: &str, port: u16, inode: u64) -> bool {
    let (port, inode) = (format!(":{port:04X}"), inode.to_string());
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1).is_some_and(|local| local.ends_with(&port));
        let listening = fields.nth(1) == Some(LISTENING);
        local && listening && fields.nth(5) == Some(inode.as_str())
    })
}

const LISTENING: &str = "0A";
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn a_port_is_the_boxs_for_as_long_as_its_socket_listens() {
        let own = Own::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inode = rustix::fs::fstat(listener.as_fd()).unwrap().st_ino;
        assert_eq!(own.find(address), None);
        own.note(address, inode);
        assert_eq!(own.find(address), Some(address));
        assert_eq!(own.find(([0, 0, 0, 0], address.port()).into()), Some(address));
        assert_eq!(own.find(([10, 0, 0, 1], address.port()).into()), None);
        drop(listener);
        let taken = TcpListener::bind(address);
        assert_eq!(own.find(address), None);
        drop(taken);
    }
}
