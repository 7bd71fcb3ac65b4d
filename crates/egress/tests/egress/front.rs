//! Is every front read in the one way, or refused before any look-up?

use crate::support::{front, rest, soon};
use bartizan_egress::{Arrival, FrontLimits, Kind, Refusal, Status, SyntheticNames, capture};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

async fn refused(bytes: &[u8], arrival: Arrival) -> (String, String) {
    let (mut near, captured) = front(bytes, arrival).await;
    let bad = match captured {
        Ok(captured) => {
            panic!("{:?} passed as {:?}", String::from_utf8_lossy(bytes), captured.intent())
        }
        Err(bad) => bad,
    };
    let code = bad.refusal().code().to_owned();
    let (answer, ()) = tokio::join!(
        async {
            let answer = rest(&mut near).await;
            drop(near);
            answer
        },
        soon(bad.answer())
    );
    (code, answer)
}

async fn target(bytes: &[u8], arrival: Arrival) -> (String, Kind) {
    let (_near, captured) = front(bytes, arrival).await;
    let captured = captured.expect("it is refused");
    (captured.intent().target().to_string(), captured.intent().kind())
}

fn by_name(name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&[1, 187]);
    bytes
}

#[tokio::test]
async fn a_host_that_two_parsers_read_differently_is_refused_in_every_front() {
    for host in [
        "ok.com\0.evil.com",
        "ok.com%00.evil.com",
        "ok.com%2eevil.com",
        "u@ok.com",
        "u:p@ok.com",
        "evil.com#.ok.com",
        "evil.com\\.ok.com",
        "ok..com",
        ".ok.com",
        "ok.com..",
        "-ok.com",
        "ok_.com\u{200b}",
        "ök.com",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "127.1",
        "0177.0.0.1",
        "[fe80::1%25eth0]",
        "fe80::1%eth0",
        "[::1",
        "",
    ] {
        let (code, answer) =
            refused(format!("CONNECT {host}:443 HTTP/1.1\r\n\r\n").as_bytes(), Arrival::HttpProxy)
                .await;
        assert!(
            matches!(code.as_str(), "bad-host" | "malformed-request"),
            "CONNECT {host:?}: {code}"
        );
        assert!(answer.starts_with("HTTP/1.1 400 "), "CONNECT {host:?}: {answer}");
        assert!(answer.contains(&format!("\r\nBartizan-Reason: {code}\r\n")), "{answer}");
        let (_, answer) = refused(
            format!("GET http://{host}:80/ HTTP/1.1\r\nHost: ok.com\r\n\r\n").as_bytes(),
            Arrival::HttpProxy,
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "GET {host:?}: {answer}");
        let (code, _) = refused(&by_name(host.as_bytes()), Arrival::Socks).await;
        assert_eq!(code, "bad-host", "SOCKS {host:?}");
    }
}

#[tokio::test]
async fn line_ends_in_a_host_are_refused() {
    for text in [
        "CONNECT ok.com/.evil.com:443 HTTP/1.1\n\r\n\r\n",
        "CONNECT ok.com:443\r\nHost: evil HTTP/1.1\r\n\r\n",
        "CONNECT ok.com:443\nHTTP/1.1\r\n\r\n",
        "CONNECT ok.com\r:443 HTTP/1.1\r\n\r\n",
    ] {
        let (code, _) = refused(text.as_bytes(), Arrival::HttpProxy).await;
        assert_eq!(code, "malformed-request", "{text:?}");
    }
    assert_eq!(refused(&by_name(b"ok.com\r\nx"), Arrival::Socks).await.0, "bad-host");
}

#[tokio::test]
async fn honest_fronts_are_understood() {
    for (text, wanted, kind) in [
        ("CONNECT OK.com:443 HTTP/1.1\r\nHost: ok.com:443\r\n\r\n", "ok.com:443", Kind::Connect),
        ("CONNECT ok.com.:443 HTTP/1.0\r\n\r\n", "ok.com:443", Kind::Connect),
        (
            "CONNECT ok.com:8443 HTTP/1.1\r\nHost: ok.com\r\nProxy-Authorization: Basic eDp5\r\n\r\n",
            "ok.com:8443",
            Kind::Connect,
        ),
        ("CONNECT [2606:4700::1]:443 HTTP/1.1\r\n\r\n", "[2606:4700::1]:443", Kind::Connect),
        ("GET http://ok.com HTTP/1.1\r\nHost: ok.com\r\n\r\n", "ok.com:80", Kind::Absolute),
        ("GET http://ok.com:80/a HTTP/1.1\r\nHost: ok.com\r\n\r\n", "ok.com:80", Kind::Absolute),
        (
            "POST HTTP://ok.com:8080/a%2fb?c HTTP/1.1\r\nHost: OK.com:8080\r\nContent-Length: 0\r\n\r\n",
            "ok.com:8080",
            Kind::Absolute,
        ),
    ] {
        assert_eq!(
            target(text.as_bytes(), Arrival::HttpProxy).await,
            (wanted.to_owned(), kind),
            "{text:?}"
        );
    }
    assert_eq!(
        target(&by_name(b"ok.com"), Arrival::Socks).await,
        ("ok.com:443".to_owned(), Kind::Socks)
    );
}

#[tokio::test]
async fn an_address_in_disguise_is_judged_as_what_it_is() {
    for (host, wanted) in [
        ("[::ffff:169.254.169.254]", "169.254.169.254:80"),
        ("[::ffff:a9fe:a9fe]", "169.254.169.254:80"),
        ("[0:0::1]", "[::1]:80"),
    ] {
        let text = format!("CONNECT {host}:80 HTTP/1.1\r\n\r\n");
        let (_near, captured) = front(text.as_bytes(), Arrival::HttpProxy).await;
        let intent = captured.unwrap().intent().clone();
        assert_eq!(intent.target().to_string(), wanted);
        assert!(intent.target().host().is_private(), "{host} passed for public");
    }
}

#[tokio::test]
async fn the_request_line_is_there_for_policy() {
    let text = "PUT http://ok.com?q HTTP/1.1\r\nHost: ok.com\r\n\r\n";
    let (_near, captured) = front(text.as_bytes(), Arrival::HttpProxy).await;
    let captured = captured.unwrap();
    let line = captured.intent().request().unwrap();
    assert_eq!((line.method.as_str(), line.path.as_str()), ("PUT", "/?q"));
}

#[tokio::test]
async fn a_request_that_smuggles_is_refused() {
    for (fields, wanted) in [
        ("Host: ok.com\r\nHost: evil.com\r\n", "malformed-request"),
        ("Host: evil.com\r\n", "host-mismatch"),
        ("Host: ok.com:81\r\n", "host-mismatch"),
        ("X: y\r\n", "malformed-request"),
        (
            "Host: ok.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "malformed-request",
        ),
        ("Host: ok.com\r\nContent-Length: 5\r\nContent-Length: 6\r\n", "malformed-request"),
        ("Host: ok.com\r\nTransfer-Encoding: chunked, identity\r\n", "malformed-request"),
        ("Host: ok.com\r\nTransfer-Encoding : chunked\r\n", "malformed-request"),
        ("Host: ok.com\r\nX: a\r\n Transfer-Encoding: chunked\r\n", "malformed-request"),
    ] {
        let text = format!("POST http://ok.com/ HTTP/1.1\r\n{fields}\r\n");
        let (code, answer) = refused(text.as_bytes(), Arrival::HttpProxy).await;
        assert_eq!(code, wanted, "{fields:?}");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let (code, _) = refused(
        b"CONNECT ok.com:443 HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd",
        Arrival::HttpProxy,
    )
    .await;
    assert_eq!(code, "malformed-request");
    let (code, _) =
        refused(b"CONNECT ok.com:443 HTTP/1.1\r\nHost: evil.com:443\r\n\r\n", Arrival::HttpProxy)
            .await;
    assert_eq!(code, "host-mismatch");
}

#[tokio::test]
async fn what_the_proxy_port_does_not_speak_is_refused() {
    for (text, wanted) in [
        (&b"GET / HTTP/1.1\r\nHost: ok.com\r\n\r\n"[..], "malformed-request"),
        (b"GET https://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n", "malformed-request"),
        (b"GET ftp://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n", "malformed-request"),
        (b"TRACE http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n", "trace-refused"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "malformed-request"),
        (b"\x16\x03\x01\x02\x00\x01", "malformed-request"),
        (b"\x05\x01\x00", "malformed-request"),
    ] {
        assert_eq!(
            refused(text, Arrival::HttpProxy).await.0,
            wanted,
            "{:?}",
            String::from_utf8_lossy(text)
        );
    }
    for bytes in [&[4u8, 1, 0, 80, 1, 2, 3, 4, 0][..], &[5, 1, 2], b"GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(refused(bytes, Arrival::Socks).await.0, "malformed-socks", "{bytes:?}");
    }
}

#[tokio::test]
async fn a_head_over_sixteen_kib_is_refused() {
    let mut text = b"GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\nX: ".to_vec();
    text.resize(17 * 1024, b'a');
    let (code, answer) = refused(&text, Arrival::HttpProxy).await;
    assert_eq!(code, "head-too-large");
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drips_is_cut_off() {
    for arrival in [Arrival::HttpProxy, Arrival::Socks] {
        let (mut near, far) = tokio::io::duplex(4096);
        let drip = tokio::spawn(async move {
            let text: &[u8] = if arrival == Arrival::Socks {
                &[5, 200, 1]
            } else {
                b"GET http://ok.com/ HTTP/1.1\r\nX: "
            };
            for byte in text.iter().chain(std::iter::repeat(&b'a')) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if near.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        });
        let started = tokio::time::Instant::now();
        let names = SyntheticNames::new(|_| {});
        let bad = capture(far, arrival, &names, &FrontLimits::default()).await.unwrap_err();
        assert_eq!(bad.refusal().code(), "front-timeout");
        assert!(started.elapsed() < Duration::from_secs(11));
        drop(bad);
        drip.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_its_front_is_no_intent() {
    for (bytes, arrival) in [
        (&b"CONNECT ok"[..], Arrival::HttpProxy),
        (&[5, 1][..], Arrival::Socks),
        (b"", Arrival::Socks),
    ] {
        let (mut near, far) = tokio::io::duplex(4096);
        near.write_all(bytes).await.unwrap();
        drop(near);
        let names = SyntheticNames::new(|_| {});
        let bad = soon(capture(far, arrival, &names, &FrontLimits::default())).await.unwrap_err();
        assert_eq!(bad.refusal().code(), "front-cut");
    }
}

#[tokio::test]
async fn a_transparent_connection_means_the_name_that_was_looked_up() {
    let names = SyntheticNames::new(|_| {});
    let host = "ok.com".parse().unwrap();
    let original = (names.address_of(&host).unwrap(), 5432).into();
    let (_near, far) = tokio::io::duplex(64);
    let captured = capture(far, Arrival::Transparent { original }, &names, &FrontLimits::default())
        .await
        .unwrap();
    assert_eq!(captured.intent().target().to_string(), "ok.com:5432");
    let (_near, far) = tokio::io::duplex(64);
    let original = "198.18.77.77:443".parse().unwrap();
    let bad = capture(far, Arrival::Transparent { original }, &names, &FrontLimits::default())
        .await
        .unwrap_err();
    assert_eq!(bad.refusal().code(), "unknown-name");
    let (_near, far) = tokio::io::duplex(64);
    let original = "[::ffff:1.1.1.1]:443".parse().unwrap();
    let captured = capture(far, Arrival::Transparent { original }, &names, &FrontLimits::default())
        .await
        .unwrap();
    assert_eq!(captured.intent().target().to_string(), "1.1.1.1:443");
}

async fn denied(bytes: &[u8], arrival: Arrival, then: &[u8]) -> Vec<u8> {
    let (mut near, captured) = front(bytes, arrival).await;
    near.write_all(then).await.unwrap();
    let refusal =
        Refusal::new(Status::Forbidden, "host-not-allowed", "the host is not on the list");
    soon(captured.unwrap().refuse(&refusal)).await;
    let mut answer = Vec::new();
    soon(tokio::io::AsyncReadExt::read_to_end(&mut near, &mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_refusal_speaks_the_language_of_its_front() {
    for text in [
        "CONNECT evil.com:443 HTTP/1.1\r\n\r\n",
        "GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n",
    ] {
        let answer =
            String::from_utf8(denied(text.as_bytes(), Arrival::HttpProxy, b"").await).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 403 Forbidden\r\nBartizan-Reason: host-not-allowed\r\n"),
            "{answer}"
        );
        assert!(
            answer.ends_with("\r\n\r\nbartizan: the host is not on the list [host-not-allowed]\n"),
            "{answer}"
        );
    }
    let socks = denied(&by_name(b"evil.com"), Arrival::Socks, b"").await;
    assert_eq!(socks, [&[5, 0][..], &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]].concat());
    let open = Arrival::Transparent { original: "1.1.1.1:8080".parse().unwrap() };
    let http = denied(b"", open, b"GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n").await;
    assert!(http.starts_with(b"HTTP/1.1 403 Forbidden\r\n"));
    let tls = denied(b"", open, &[22, 3, 1, 0, 200, 1]).await;
    assert_eq!(tls, [0x15, 3, 3, 0, 2, 2, 49]);
    assert_eq!(denied(b"", open, b"SSH-2.0-x\r\n").await, b"");
}
