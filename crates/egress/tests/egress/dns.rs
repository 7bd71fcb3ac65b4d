//! Does the box get its names over real sockets, and nobody else a question?

use crate::support::{listen, soon};
use bartizan_egress::SyntheticNames;
use bartizan_egress::dns::{serve_tcp, serve_udp};
use std::sync::Arc;
use std::sync::mpsc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02ok\x03com\x00\x00\x01\x00\x01";

#[tokio::test]
async fn udp_and_tcp_give_the_same_address_and_each_name_is_reported_once() {
    let (send, seen) = mpsc::channel();
    let names = Arc::new(SyntheticNames::new(move |new| send.send(new.host.to_string()).unwrap()));
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let udp = tokio::spawn(serve_udp(server, Arc::clone(&names)));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"junk", address).await.unwrap();
    client.send_to(QUERY, address).await.unwrap();
    let mut by_udp = vec![0u8; 512];
    let length = soon(client.recv(&mut by_udp)).await.unwrap();
    by_udp.truncate(length);

    let (listener, port) = listen().await;
    let tcp = tokio::spawn(serve_tcp(listener, Arc::clone(&names)));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Two questions on one connection, the first in two pieces.
    let mut framed = u16::try_from(QUERY.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(QUERY);
    stream.write_all(&framed[..7]).await.unwrap();
    stream.write_all(&framed[7..]).await.unwrap();
    stream.write_all(&framed).await.unwrap();
    for _ in 0..2 {
        let length = soon(stream.read_u16()).await.unwrap();
        let mut by_tcp = vec![0u8; usize::from(length)];
        soon(stream.read_exact(&mut by_tcp)).await.unwrap();
        assert_eq!(by_tcp, by_udp);
    }
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["ok.com"]);
    udp.abort();
    tcp.abort();
}
