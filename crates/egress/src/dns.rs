//! What is answered when the box asks for a name?
//!
//! Every well-formed name gets a synthetic address and no question goes anywhere else. So a DNS label
//! cannot carry data out, whether its name is allowed or not.

use crate::name::Host;
use crate::names::SyntheticNames;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Answers one DNS message; `None` when it deserves no answer (too short, or itself an answer).
pub fn answer(message: &[u8], names: &SyntheticNames) -> Option<Vec<u8>> {
    let (header, rest) = message.split_first_chunk::<12>()?;
    let [id0, id1, flags, _, qd0, qd1, an0, an1, ns0, ns1, ar0, ar1] = *header;
    if flags & QR != 0 {
        return None;
    }
    let reply =
        |code, question: &[u8], address| Some(render([id0, id1], flags, code, question, address));
    if flags & OPCODE != 0 {
        return reply(NOT_IMPLEMENTED, &[], None);
    }
    let additional = u16::from_be_bytes([ar0, ar1]);
    if [qd0, qd1, an0, an1, ns0, ns1] != [0, 1, 0, 0, 0, 0] || additional > 2 {
        return reply(FORMAT_ERROR, &[], None);
    }
    let Some((name, kind, class, question)) = parse_question(rest) else {
        return reply(FORMAT_ERROR, &[], None);
    };
    // Trailing bytes without an additional record would be a channel nobody reads; refuse them all the same.
    if additional == 0 && rest.len() != question.len() {
        return reply(FORMAT_ERROR, &[], None);
    }
    if class != IN {
        return reply(REFUSED, question, None);
    }
    let Some(host) = name
        .as_deref()
        .and_then(|name| Host::parse(name).ok())
        .filter(|host| host.name().is_some())
    else {
        return reply(NAME_ERROR, question, None);
    };
    let address = match kind {
        A if is_localhost(&host) => Some(Ipv4Addr::LOCALHOST),
        A => names.address_of(&host),
        // No AAAA, so that programs use the one address there is; nothing for HTTPS, so that no program
        // learns of an encrypted client hello.
        _ => None,
    };
    reply(NO_ERROR, question, address)
}

/// Serves the box's UDP/53 socket until it fails.
pub async fn serve_udp(socket: UdpSocket, names: Arc<SyntheticNames>) -> io::Result<()> {
    let mut buffer = vec![0u8; MAX_QUERY];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error),
        };
        if let Some(reply) = buffer.get(..length).and_then(|message| answer(message, &names)) {
            // A reply that cannot be sent is lost, as any datagram may be.
            drop(socket.send_to(&reply, peer).await);
        }
    }
}

/// Serves the box's TCP/53 listener until it fails; at most 32 connections at once.
///
/// Dropping the future closes them all.
pub async fn serve_tcp(listener: TcpListener, names: Arc<SyntheticNames>) -> io::Result<()> {
    let seats = Arc::new(Semaphore::new(MAX_TCP));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_passing(&error) => {
                sleep(Duration::from_millis(10)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let names = Arc::clone(&names);
        tasks.spawn(async move {
            serve_stream(stream, &names).await;
            drop(seat);
        });
    }
}

/// Serves one connection that was accepted elsewhere, for as long as it may last.
pub async fn serve_stream(stream: TcpStream, names: &SyntheticNames) {
    // A connection that fails concerns only the program that made it.
    drop(timeout(TCP_LIFETIME, converse(stream, names)).await);
}

async fn converse(mut stream: TcpStream, names: &SyntheticNames) -> io::Result<()> {
    for _ in 0..MAX_QUESTIONS {
        let length = stream.read_u16().await?;
        let mut message = vec![0u8; usize::from(length)];
        stream.read_exact(&mut message).await?;
        let Some(reply) = answer(&message, names) else { return Ok(()) };
        let mut framed = u16::try_from(reply.len()).unwrap_or(0).to_be_bytes().to_vec();
        framed.extend_from_slice(&reply);
        stream.write_all(&framed).await?;
    }
    Ok(())
}

/// Errors that concern one peer or one moment, not the socket.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
        // EMFILE and ENFILE: wait for a descriptor.
        || matches!(error.raw_os_error(), Some(23 | 24))
}

type Question<'a> = (Option<String>, u16, u16, &'a [u8]);

/// Reads the one question; the name is `None` when its labels cannot be part of a host name.
fn parse_question(bytes: &[u8]) -> Option<Question<'_>> {
    let mut rest = bytes;
    let mut name = Vec::new();
    loop {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            rest = after;
            break;
        }
        // A compression pointer in a question points at nothing that is there.
        if length > 63 {
            return None;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        // A dot inside a label would become a border between two.
        let label_is_plain = label.iter().all(|b| b.is_ascii_graphic() && *b != b'.');
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend_from_slice(if label_is_plain { label } else { b"!" });
        if name.len() > 254 {
            return None;
        }
        rest = after;
    }
    let [k0, k1, c0, c1, rest @ ..] = rest else { return None };
    let question = bytes.get(..bytes.len() - rest.len())?;
    Some((
        String::from_utf8(name).ok(),
        u16::from_be_bytes([*k0, *k1]),
        u16::from_be_bytes([*c0, *c1]),
        question,
    ))
}

fn render(id: [u8; 2], flags: u8, code: u8, question: &[u8], address: Option<Ipv4Addr>) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 + question.len() + 16);
    out.extend_from_slice(&id);
    // Recursion desired comes back as it was; recursion is available, since stub resolvers want it so.
    out.extend_from_slice(&[
        QR | AUTHORITATIVE | (flags & RECURSION_DESIRED),
        RECURSION_AVAILABLE | code,
    ]);
    out.extend_from_slice(&[
        0,
        u8::from(!question.is_empty()),
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
    out.extend_from_slice(question);
    if let Some(address) = address {
        // The name is a pointer to the question, at offset 12.
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        out.extend_from_slice(&TTL_SECONDS.to_be_bytes());
        out.extend_from_slice(&[0, 4]);
        out.extend_from_slice(&address.octets());
    }
    out
}

/// RFC 6761: `localhost` and what is below it mean the box itself.
fn is_localhost(host: &Host) -> bool {
    host.name().is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
}

const QR: u8 = 0x80;
const OPCODE: u8 = 0x78;
const AUTHORITATIVE: u8 = 0x04;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;
const NO_ERROR: u8 = 0;
const FORMAT_ERROR: u8 = 1;
const NAME_ERROR: u8 = 3;
const NOT_IMPLEMENTED: u8 = 4;
const REFUSED: u8 = 5;
const A: u16 = 1;
const IN: u16 = 1;
const TTL_SECONDS: u32 = 60;
const MAX_QUERY: usize = 4096;
const MAX_TCP: usize = 32;
const MAX_QUESTIONS: usize = 1000;
const TCP_LIFETIME: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn query(labels: &[&[u8]], kind: u16, class: u16) -> Vec<u8> {
        let mut out = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            out.push(u8::try_from(label.len()).unwrap());
            out.extend_from_slice(label);
        }
        out.push(0);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&class.to_be_bytes());
        out
    }

    fn names() -> SyntheticNames {
        SyntheticNames::new(|_| {})
    }

    fn code(reply: &[u8]) -> u8 {
        reply[3] & 15
    }

    #[test]
    fn an_address_question_is_answered_with_a_synthetic_address() {
        let names = names();
        let query = query(&[b"oK", b"CoM"], A, IN);
        let reply = answer(&query, &names).unwrap();
        assert_eq!(&reply[..4], &[0xab, 0xcd, 0x85, 0x80]);
        assert_eq!(
            &reply[12..query.len()],
            &query[12..],
            "the question comes back as it was spelled"
        );
        let address: [u8; 4] = reply[reply.len() - 4..].try_into().unwrap();
        assert_eq!(
            names.name_of(Ipv4Addr::from(address).into()),
            Some(Host::parse("ok.com").unwrap())
        );
    }

    #[test]
    fn other_types_exist_and_are_empty() {
        for kind in [2, 5, 6, 12, 15, 16, 28, 33, 65, 255] {
            let reply = answer(&query(&[b"ok", b"com"], kind, IN), &names()).unwrap();
            assert_eq!((code(&reply), reply[7]), (NO_ERROR, 0), "type {kind}");
        }
    }

    #[test]
    fn localhost_is_the_box_itself() {
        let reply = answer(&query(&[b"app", b"localhost"], A, IN), &names()).unwrap();
        assert_eq!(reply[reply.len() - 4..], [127, 0, 0, 1]);
    }

    #[test]
    fn a_name_that_is_no_host_does_not_exist() {
        let labels: [&[&[u8]]; 6] = [
            &[b"a.b", b"com"],
            &[b"a\0b"],
            &[b"127", b"0", b"0", b"1"],
            &[b"0x7f", b"1"],
            &[b"a b"],
            &[],
        ];
        for name in labels {
            let reply = answer(&query(name, A, IN), &names()).unwrap();
            assert_eq!((code(&reply), reply[7]), (NAME_ERROR, 0), "{name:?}");
        }
    }

    #[test]
    fn malformed_messages_are_dropped_or_told_so() {
        let names = names();
        let good = query(&[b"ok", b"com"], A, IN);
        assert_eq!(answer(&good[..11], &names), None);
        let mut response = good.clone();
        response[2] |= QR;
        assert_eq!(answer(&response, &names), None);
        let mut update = good.clone();
        update[2] = 5 << 3;
        assert_eq!(code(&answer(&update, &names).unwrap()), NOT_IMPLEMENTED);
        let mut two = good.clone();
        two[5] = 2;
        let mut pointer = good.clone();
        pointer[12] = 0xc0;
        let mut trailing = good.clone();
        trailing.push(0);
        for bytes in [&two, &pointer, &trailing, &good[..good.len() - 1].to_vec()] {
            assert_eq!(code(&answer(bytes, &names).unwrap()), FORMAT_ERROR);
        }
        assert_eq!(code(&answer(&query(&[b"ok", b"com"], A, 3), &names).unwrap()), REFUSED);
    }

    #[test]
    fn an_edns_question_is_answered() {
        let mut query = query(&[b"ok", b"com"], A, IN);
        query[11] = 1;
        query.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        let reply = answer(&query, &names()).unwrap();
        assert_eq!((code(&reply), reply[7]), (NO_ERROR, 1));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_swell(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(reply) = answer(&bytes, &names()) {
                prop_assert!(reply.len() <= bytes.len() + 16);
            }
        }
    }
}
