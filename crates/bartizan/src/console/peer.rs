//! Which user of this machine is at the other end of a loopback connection? The kernel's table of sockets says so.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Whether the connection from `peer` to `own` was opened by this process's user. No entry, no yes.
pub(super) fn is_this_user(peer: SocketAddr, own: SocketAddr) -> io::Result<bool> {
    let table = if peer.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let uid = rustix::process::getuid().as_raw();
    Ok(owner(&fs::read_to_string(table)?, peer, own) == Some(uid))
}

/// The user of the socket whose own end is `from`, and whose other end is `to`.
fn owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let (from, to) = (name(from), name(to));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let same = fields.next()? == from && fields.next()? == to;
        // Between the ends and the user: state, queues, timer, retransmissions.
        if same { fields.nth(4)?.parse().ok() } else { None }
    })
}

/// An address as the table writes it: words in the machine's own byte order.
fn name(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks(4).map(|word| {
        let bytes: [u8; 4] = word.try_into().unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(bytes))
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_kernel_names_the_user_of_a_connection() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has no such address.
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let own = listener.local_addr().unwrap();
            #[expect(clippy::disallowed_methods, reason = "a client of the test's own")]
            let client = TcpStream::connect(own).unwrap();
            let (_served, peer) = listener.accept().unwrap();
            assert_eq!(client.local_addr().unwrap(), peer);
            assert!(is_this_user(peer, own).unwrap());
            let other = SocketAddr::new(peer.ip(), peer.port().wrapping_add(1));
            assert!(!is_this_user(other, own).unwrap(), "nobody is connected from there");
        }
    }

    #[test]
    fn another_users_socket_and_our_own_end_of_one_are_told_apart() {
        let (from, to) = ("127.0.0.1:4660".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        let line = |ends: &str, uid: u32| {
            format!("   1: {ends} 01 00000000:00000000 00:00000000 00000000 {uid:>5}        0 1 1")
        };
        let (client, served) = ("0100007F:1234 0100007F:0050", "0100007F:0050 0100007F:1234");
        if cfg!(target_endian = "little") {
            let table = format!("head\n{}\n{}\n", line(served, 7), line(client, 1001));
            assert_eq!(owner(&table, from, to), Some(1001));
            assert_eq!(owner(&format!("head\n{}\n", line(served, 7)), from, to), None);
        }
        assert_eq!(owner("head\nnonsense\n", from, to), None);
    }
}
