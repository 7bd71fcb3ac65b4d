//! How does the child, without allocating, open listening sockets and speak netlink?
use crate::op::{Listen, Netlink, Subsystem, Tag};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A socket that listens at an address inside.
pub(crate) fn open_listener(listen: &Listen) -> Result<OwnedFd, Errno> {
    let udp = listen.tag == Tag::DnsUdp;
    let kind = if udp { SocketType::DGRAM } else { SocketType::STREAM };
    let family = if listen.address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if listen.address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &listen.address)?;
    if !udp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Sends a request and reads until every acknowledgement is in; the first error ends it.
pub(crate) fn converse(request: &Netlink) -> Result<(), Errno> {
    let protocol = match request.to {
        Subsystem::Filter => Some(netlink::NETFILTER),
        // Protocol 0, which is what no protocol means.
        Subsystem::Loopback | Subsystem::Route | Subsystem::RouteV6 => None,
    };
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_TIME))?;
    rustix::net::send(&socket, &request.message, SendFlags::empty())?;
    let mut wanted = request.acknowledgements;
    let mut buffer = [0_u8; 8192];
    while wanted > 0 {
        let length = rustix::net::recv(&socket, &mut buffer, RecvFlags::empty())?.0;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((message, after)) = next_message(rest) {
            if let Some(errno) = verdict(message) {
                if errno != 0 {
                    return Err(Errno::from_raw_os_error(-errno));
                }
                wanted = wanted.saturating_sub(1);
            }
            rest = after;
        }
    }
    Ok(())
}

fn next_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let message = bytes.get(..length.max(16))?;
    Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// The error number of an acknowledgement (0 or negative), if the message is one.
fn verdict(message: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(*message.get(4..6)?.first_chunk()?);
    let errno = i32::from_ne_bytes(*message.get(16..20)?.first_chunk()?);
    (kind == NLMSG_ERROR).then_some(errno)
}

const BACKLOG: i32 = 256;
const NLMSG_ERROR: u16 = 2;
const ANSWER_TIME: Duration = Duration::from_secs(5);
