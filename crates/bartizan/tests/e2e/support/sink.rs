//! Did anything get out? A listener on the host that no box may reach, and that remembers every
//! connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A reachable target: without it, "nothing arrived" would also hold on a machine without network.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    arrived: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    /// Listens on a free port of every interface of the host, loopback included.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&arrived);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                thread::spawn(move || take(stream, &log));
            }
        });
        Self { address, arrived }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What each connection brought, first bytes only.
    pub(crate) fn arrived(&self) -> Vec<String> {
        self.arrived.lock().unwrap().clone()
    }
}

fn take(mut stream: TcpStream, log: &Mutex<Vec<String>>) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut first = [0; 4096];
    let count = stream.read(&mut first).unwrap_or(0);
    log.lock().unwrap().push(String::from_utf8_lossy(&first[..count]).into_owned());
    // The client may be gone already; what it sent is on record.
    let _gone = stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsunk\n");
}
