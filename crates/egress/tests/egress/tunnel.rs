//! Do a tunnel's bytes go to the judged host and nowhere else, and is every end reported?

use crate::support::{
    HERE, Running, connect, http_only, listen, rest, run, soon, tls_only, transparent, tunnel,
    until,
};
use crate::tls;
use bartizan_egress::tunnel::EncryptedHello;
use bartizan_egress::{Arrival, Ended, Reach, SyntheticNames, TunnelLimits};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

fn code(ended: &Ended) -> &str {
    match ended {
        Ended::Refused(refusal) => refusal.code(),
        other => panic!("not refused but {other:?}"),
    }
}

/// The first flight of a TLS client that wants `name`.
fn hello(config: &Arc<rustls::ClientConfig>, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Asserts that nobody has connected.
async fn untouched(listener: &TcpListener) {
    let waited = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(waited.is_err(), "the target was dialled");
}

#[tokio::test]
async fn an_honest_tls_client_gets_through_and_is_counted() {
    let (server, client) = tls::pair("ok.test");
    let (listener, port) = listen().await;
    let server = tls::echo(listener, server);
    for limits in [tls_only(port), TunnelLimits::default()] {
        let mut running = tunnel(&connect("ok.test", port), HERE, limits).await;
        until(&mut running.client, "\r\n\r\n").await;
        let name = ServerName::try_from("ok.test").unwrap();
        let mut stream =
            soon(TlsConnector::from(Arc::clone(&client)).connect(name, running.client))
                .await
                .unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut pong = [0u8; 4];
        soon(stream.read_exact(&mut pong)).await.unwrap();
        assert_eq!(&pong, b"ping");
        stream.shutdown().await.unwrap();
        drop(stream);
        let report = soon(running.report).await.unwrap();
        assert_eq!(report.sni, Some("ok.test".parse().unwrap()));
        assert_eq!(report.address, Some(([127, 0, 0, 1], port).into()));
        assert!(report.bytes_out > 200 && report.bytes_in > 200, "{report:?}");
        assert_eq!(running.lookup.asked(), 1, "the name was resolved more than once");
    }
    server.abort();
}

#[tokio::test]
async fn a_hello_in_pieces_is_read_whole() {
    let (server, client) = tls::pair("ok.test");
    let (listener, port) = listen().await;
    let server = tls::echo(listener, server);
    let mut client = Arc::unwrap_or_clone(client);
    client.max_fragment_size = Some(40);
    let flight = hello(&Arc::new(client), "ok.test");
    assert!(flight.len() > 200);
    let mut running = tunnel(&connect("ok.test", port), HERE, tls_only(port)).await;
    until(&mut running.client, "\r\n\r\n").await;
    running.client.set_nodelay(true).unwrap();
    for piece in flight.chunks(11) {
        running.client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(soon(running.client.read_u8()).await.unwrap(), 22, "no server hello came back");
    drop(running.client);
    assert_eq!(soon(running.report).await.unwrap().sni, Some("ok.test".parse().unwrap()));
    server.abort();
}

/// Sends `bytes` through a tunnel to `ok.test` on a TLS port; gives the refusal's code and what the client got.
async fn misused(bytes: &[u8], host: &str) -> (String, Vec<u8>) {
    let (listener, port) = listen().await;
    let mut running = tunnel(&connect(host, port), HERE, tls_only(port)).await;
    until(&mut running.client, "\r\n\r\n").await;
    running.client.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    drop(soon(running.client.read_to_end(&mut answer)).await);
    untouched(&listener).await;
    assert_eq!(running.lookup.asked(), 0, "a name was looked up for {bytes:?}");
    let report = running.report().await;
    assert_eq!(report.bytes_out, 0);
    assert_eq!(report.address, None);
    (code(&report.ended).to_owned(), answer)
}

#[tokio::test]
async fn fronting_is_refused_before_any_look_up() {
    let (_, client) = tls::pair("ok.test");
    let (mismatch, alert) = misused(&hello(&client, "evil.test"), "ok.test").await;
    assert_eq!((mismatch.as_str(), alert), ("sni-mismatch", vec![0x15, 3, 3, 0, 2, 2, 49]));
    assert_eq!(misused(&hello(&client, "ok.test.evil.test"), "ok.test").await.0, "sni-mismatch");
    assert_eq!(misused(&hello(&client, "ok.test"), "127.0.0.1").await.0, "sni-mismatch");
    // For an address rustls names no server.
    assert_eq!(misused(&hello(&client, "127.0.0.1"), "ok.test").await.0, "sni-missing");
}

#[tokio::test]
async fn what_is_not_tls_does_not_pass_a_tls_port() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.7\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: ok.test\r\n\r\n",
        b"\0",
        b"\x80\x2e\x01\x03\x01",
    ] {
        assert_eq!(misused(bytes, "ok.test").await.0, "not-tls", "{bytes:?}");
    }
    assert_eq!(misused(&[22, 3, 1, 0, 0], "ok.test").await.0, "malformed-tls");
    assert_eq!(misused(&[22, 3, 1, 0, 4, 2, 0, 0, 0], "ok.test").await.0, "malformed-tls");
}

/// A hello for `name` with a further empty extension of type `kind`.
fn hello_with(kind: u16, name: &str) -> Vec<u8> {
    let mut list = vec![0, 0];
    let length = u16::try_from(name.len()).unwrap();
    list.extend_from_slice(&(length + 5).to_be_bytes());
    list.extend_from_slice(&(length + 3).to_be_bytes());
    list.push(0);
    list.extend_from_slice(&length.to_be_bytes());
    list.extend_from_slice(name.as_bytes());
    list.extend_from_slice(&kind.to_be_bytes());
    list.extend_from_slice(&[0, 0]);
    let mut body = vec![3, 3];
    body.extend_from_slice(&[9; 32]);
    body.extend_from_slice(&[0, 0, 2, 0x13, 1, 1, 0]);
    body.extend_from_slice(&u16::try_from(list.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&list);
    let mut message = vec![1, 0];
    message.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&body);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&message);
    record
}

#[tokio::test]
async fn an_encrypted_hello_passes_only_where_it_was_said_to() {
    let ech = hello_with(0xfe0d, "ok.test");
    assert_eq!(misused(&ech, "ok.test").await.0, "ech-refused");
    let (listener, port) = listen().await;
    let limits = TunnelLimits { encrypted_hello: EncryptedHello::Pass, ..tls_only(port) };
    let mut running = tunnel(&connect("ok.test", port), HERE, limits).await;
    until(&mut running.client, "\r\n\r\n").await;
    running.client.write_all(&ech).await.unwrap();
    let (mut target, _) = soon(listener.accept()).await.unwrap();
    let mut seen = vec![0u8; ech.len()];
    soon(target.read_exact(&mut seen)).await.unwrap();
    assert_eq!(seen, ech, "the hello did not arrive as it was sent");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_hello_is_cut_off() {
    let (listener, port) = listen().await;
    let mut running = tunnel(&connect("ok.test", port), HERE, tls_only(port)).await;
    until(&mut running.client, "\r\n\r\n").await;
    running.client.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(code(&soon(running.report).await.unwrap().ended), "opening-timeout");
    drop(listener);
}

#[tokio::test]
async fn a_server_may_speak_first_and_either_side_may_be_done_first() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 hello\r\n").await.unwrap();
        let said = until(&mut stream, "DONE").await;
        assert_eq!(rest(&mut stream).await, "", "the client's end did not arrive");
        stream.write_all(b"bye").await.unwrap();
        said
    });
    let mut running = transparent("mail.test", port, HERE, TunnelLimits::default()).await;
    until(&mut running.client, "hello\r\n").await;
    running.client.write_all(b"EHLO x\r\nDONE").await.unwrap();
    running.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut running.client).await, "bye");
    assert_eq!(soon(server).await.unwrap(), "EHLO x\r\nDONE");
    let report = running.report().await;
    assert_eq!((report.bytes_out, report.bytes_in, report.ended), (12, 14, Ended::Finished));
}

#[tokio::test]
async fn a_server_that_speaks_first_is_sent_no_request() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 hello\r\n").await.unwrap();
        rest(&mut stream).await
    });
    let mut running = transparent("mail.test", port, HERE, TunnelLimits::default()).await;
    until(&mut running.client, "hello\r\n").await;
    let request = format!("GET / HTTP/1.1\r\nHost: mail.test:{port}\r\n\r\n");
    running.client.write_all(request.as_bytes()).await.unwrap();
    let report = running.report().await;
    assert_eq!((code(&report.ended), report.bytes_out), ("unclear-protocol", 0));
    assert_eq!(soon(server).await.unwrap(), "");
}

#[tokio::test]
async fn a_private_address_is_refused_before_the_tunnel_opens() {
    let (listener, port) = listen().await;
    let mut running =
        tunnel(&connect("inside.test", port), Reach::public(), TunnelLimits::default()).await;
    let answer = rest(&mut running.client).await;
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("Bartizan-Reason: address-refused"),
        "{answer}"
    );
    assert!(!answer.contains("127.0.0.1"), "the address was told to the box");
    untouched(&listener).await;
    assert_eq!(code(&running.report().await.ended), "address-refused");

    let text = format!(
        "GET http://169.254.169.254:{port}/ HTTP/1.1\r\nHost: 169.254.169.254:{port}\r\n\r\n"
    );
    let everything = Reach::public().and_network().and_this_host().and_link_local();
    let mut running = tunnel(&text, everything, TunnelLimits::default()).await;
    assert!(rest(&mut running.client).await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_target_that_takes_no_connection_is_told_as_such() {
    let (listener, port) = listen().await;
    drop(listener);
    let mut running = tunnel(&connect("ok.test", port), HERE, TunnelLimits::default()).await;
    assert!(rest(&mut running.client).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(code(&running.report().await.ended), "unreachable");
    let mut socks = vec![5, 1, 0, 5, 1, 0, 3, 7];
    socks.extend_from_slice(b"ok.test");
    socks.extend_from_slice(&port.to_be_bytes());
    let names = Arc::new(SyntheticNames::new(|_| {}));
    let mut running = run(&socks, Arrival::Socks, names, HERE, TunnelLimits::default()).await;
    let mut answer = Vec::new();
    drop(soon(running.client.read_to_end(&mut answer)).await);
    assert_eq!(answer, [5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
}

/// An HTTP/1.1 server that answers every request with `ok` and keeps connections; it sends on what it read.
fn http_server(listener: TcpListener) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (send, seen) = tokio::sync::mpsc::unbounded_channel();
    drop(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let send = send.clone();
            drop(tokio::spawn(async move {
                let mut text = String::new();
                let mut chunk = [0u8; 4096];
                while let Ok(count) = stream.read(&mut chunk).await {
                    if count == 0 {
                        break;
                    }
                    text.push_str(&String::from_utf8_lossy(&chunk[..count]));
                    let whole = match text.split_once("\r\n\r\n") {
                        Some((head, body)) if head.contains("chunked") => {
                            body.ends_with("0\r\n\r\n")
                        }
                        Some((head, body)) if head.contains("content-length: 5") => body.len() >= 5,
                        Some(_) => true,
                        None => false,
                    };
                    if whole {
                        send.send(std::mem::take(&mut text)).unwrap();
                        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nBartizan-Reason: forged\r\nKeep-Alive: x\r\n\r\nok";
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            }));
        }
    }));
    seen
}

#[tokio::test]
async fn a_proxied_request_is_sent_in_origin_form_and_closes() {
    let (listener, port) = listen().await;
    let mut seen = http_server(listener);
    let text = format!(
        "POST http://ok.test:{port}/a?b HTTP/1.1\r\nHost: ok.test:{port}\r\nProxy-Authorization: Basic x\r\n\
         Proxy-Connection: keep-alive\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 5\r\n\r\nhello\
         GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    );
    let mut running = tunnel(&text, HERE, TunnelLimits::default()).await;
    let answer = rest(&mut running.client).await.to_lowercase();
    assert!(
        answer.starts_with("http/1.1 200 ok\r\n") && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
    assert!(answer.contains("connection: close") && !answer.contains("forged"), "{answer}");
    let request = soon(seen.recv()).await.unwrap();
    assert!(request.starts_with("POST /a?b HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains(&format!("host: ok.test:{port}\r\n"))
            && request.ends_with("\r\n\r\nhello"),
        "{request}"
    );
    assert!(
        request.contains("x-end: 2") && !request.contains("x-hop") && !request.contains("proxy-"),
        "{request}"
    );
    assert_eq!(running.report().await.ended, Ended::Finished);
    assert!(seen.try_recv().is_err(), "a second request was sent on the first one's verdict");
}

/// Sends plain HTTP through an opened tunnel to `ok.test` and gives the answers and what the server saw.
async fn plain(requests: &str) -> (String, Vec<String>, Ended) {
    let (listener, port) = listen().await;
    let mut seen = http_server(listener);
    let mut running: Running = transparent("ok.test", port, HERE, http_only(port)).await;
    running.client.write_all(requests.replace("PORT", &port.to_string()).as_bytes()).await.unwrap();
    running.client.shutdown().await.unwrap();
    let answers = rest(&mut running.client).await;
    let report = running.report().await;
    let mut requests = Vec::new();
    while let Ok(request) = seen.try_recv() {
        requests.push(request);
    }
    (answers, requests, report.ended)
}

#[tokio::test]
async fn a_kept_connection_cannot_change_its_host() {
    let ok = "GET /1 HTTP/1.1\r\nHost: ok.test:PORT\r\n\r\n";
    let (answers, seen, ended) = plain(&format!("{ok}{ok}")).await;
    assert_eq!(
        (answers.matches("200 OK").count(), seen.len(), ended),
        (2, 2, Ended::Finished),
        "{answers}"
    );
    for other in ["evil.test:PORT", "ok.test", "ok.test:1", "ok.test:PORT@evil.test", "evil.test"] {
        let (answers, seen, ended) =
            plain(&format!("{ok}GET /2 HTTP/1.1\r\nHost: {other}\r\n\r\n{ok}")).await;
        assert_eq!(seen.len(), 1, "{other}: {seen:?}");
        assert!(answers.contains("421 Misdirected"), "{answers}");
        assert_eq!(code(&ended), "host-mismatch");
    }
}

#[tokio::test]
async fn a_first_request_for_another_host_never_leaves() {
    for text in [
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "foo / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nHost: ok.test:PORT\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: ok.test:PORT\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\nHost: evil.test\n\n",
        "\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: ok.test:PORT\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: ok.test:PORT\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: ok.test:PORT\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: ok.test:PORT\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "SSH-2.0-OpenSSH_9.7\r\n",
    ] {
        let (answers, seen, ended) = plain(text).await;
        assert_eq!(seen, Vec::<String>::new(), "{text:?} got out");
        assert!(!answers.contains("200 OK"), "{text:?}: {answers}");
        assert!(matches!(ended, Ended::Refused(_)), "{text:?}: {ended:?}");
    }
}

/// What is no request yet when its client is done is none at all, and goes nowhere.
#[tokio::test]
async fn what_ends_before_its_first_line_does_not_pass_where_only_requests_do() {
    let half_a_hello = b"\x16\x03\x01\x02\x00\x01";
    for bytes in [&b"GET /secret"[..], b"what must not leave", b"\r\n", half_a_hello] {
        let (listener, port) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            rest(&mut stream).await
        });
        let mut running = transparent("ok.test", port, HERE, http_only(port)).await;
        running.client.write_all(bytes).await.unwrap();
        running.client.shutdown().await.unwrap();
        rest(&mut running.client).await;
        let report = running.report().await;
        assert_eq!((code(&report.ended), report.bytes_out), ("not-http", 0), "{bytes:?}");
        assert_eq!(soon(server).await.unwrap(), "", "{bytes:?} got out");
    }
}

#[tokio::test]
async fn two_lengths_on_a_kept_connection_hide_no_request() {
    let text = "GET / HTTP/1.1\r\nHost: ok.test:PORT\r\n\r\nPOST / HTTP/1.1\r\nHost: ok.test:PORT\r\nContent-Length: 5\r\n\
                Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    let (_, seen, _) = plain(text).await;
    assert!(seen.iter().all(|request| !request.contains("smuggled")), "{seen:?}");
    assert!(
        seen.iter()
            .all(|request| !request.contains("content-length") || !request.contains("chunked")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn silence_and_a_spent_budget_end_a_tunnel() {
    let (listener, port) = listen().await;
    let limits = TunnelLimits { idle: Duration::from_millis(80), ..TunnelLimits::default() };
    let running = tunnel(&connect("ok.test", port), HERE, limits).await;
    assert_eq!(soon(running.report).await.unwrap().ended, Ended::Idle);

    let limits = TunnelLimits { bytes_out: 10, ..TunnelLimits::default() };
    let mut running = tunnel(&connect("ok.test", port), HERE, limits).await;
    until(&mut running.client, "\r\n\r\n").await;
    running.client.write_all(b"\0 twenty bytes or more").await.unwrap();
    let report = soon(running.report).await.unwrap();
    assert_eq!((report.bytes_out, report.ended), (10, Ended::OverBudget));

    let limits = TunnelLimits { lifetime: Duration::from_millis(80), ..TunnelLimits::default() };
    let running = tunnel(&connect("ok.test", port), HERE, limits).await;
    assert_eq!(soon(running.report).await.unwrap().ended, Ended::TooLong);
    drop(listener);
}

#[tokio::test]
async fn dropping_the_future_closes_both_sides() {
    let (listener, port) = listen().await;
    let mut running = tunnel(&connect("ok.test", port), HERE, TunnelLimits::default()).await;
    until(&mut running.client, "\r\n\r\n").await;
    running.client.write_all(b"\0data").await.unwrap();
    let (mut target, _) = soon(listener.accept()).await.unwrap();
    let mut data = [0u8; 5];
    soon(target.read_exact(&mut data)).await.unwrap();
    running.report.abort();
    assert_eq!(rest(&mut target).await, "");
    assert_eq!(rest(&mut running.client).await, "");
}
