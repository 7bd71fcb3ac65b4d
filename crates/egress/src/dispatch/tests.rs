use super::*;
use crate::resolve::{Looked, Lookup};
use std::net::{IpAddr, Ipv4Addr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Every name leads to this machine.
struct Inward;

impl Lookup for Inward {
    fn lookup<'a>(&'a self, _: &'a str) -> Looked<'a> {
        Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
    }
}

fn parcel<'a>(path: Option<&'a SecretValue>, proof: Proof<'a>) -> Parcel<'a> {
    Parcel { replaces: false, path, kind: "application/json", body: b"{\"a\":1}".to_vec(), proof }
}

/// Answers one request with `status`, and gives what was asked.
async fn answering(listener: TcpListener, answer: &'static str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"{\"a\":1}") {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "the request is cut short");
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(got).unwrap()
}

async fn here() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn line<'a>(request: &'a str, name: &str) -> &'a str {
    let found = request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no `{name}` in {request}"))
}

#[tokio::test]
async fn a_notice_is_signed_over_id_time_and_content() {
    let (listener, port) = here().await;
    let to = Upstream::parse(&format!("http://127.0.0.1:{port}/base")).unwrap();
    let path = SecretValue::new(b"/T0/B0?sig=xyz".to_vec());
    let key = SecretValue::new(b"0123456789abcdef".to_vec());
    let proof = Proof::Signed { id: "log-7", time_s: 12, key: &key };
    let way = Dispatch::new(to, false);
    let sent = way.send(parcel(Some(&path), proof));
    let (sent, request) = tokio::join!(
        sent,
        answering(listener, "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok")
    );
    assert_eq!(sent.unwrap(), b"ok");
    assert!(request.starts_with("POST /base/T0/B0?sig=xyz HTTP/1.1\r\n"), "{request}");
    assert_eq!(
        (line(&request, "webhook-id"), line(&request, "webhook-timestamp")),
        ("log-7", "12")
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
    let signature = BASE64.decode(line(&request, "webhook-signature").strip_prefix("v1,").unwrap());
    let signed = b"log-7.12.{\"a\":1}";
    hmac::verify(&key, signed, &signature.unwrap()).unwrap();
}

#[test]
fn the_signature_is_the_one_of_the_public_example() {
    // The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    let key = [PREFIX, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"].concat();
    let body = br#"{"test": 2432232314}"#;
    let signed = sign(
        &SecretValue::new(key.into_bytes()),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        body,
    );
    assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_an_error_is_no_delivery() {
    for (answer, told) in [
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",
            "redirect",
        ),
        ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "status 500"),
    ] {
        let (listener, port) = here().await;
        let to = Upstream::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let way = Dispatch::new(to, false);
        let sent = way.send(parcel(None, Proof::None));
        let (sent, _) = tokio::join!(sent, answering(listener, answer));
        let fault = sent.unwrap_err().to_string();
        assert!(fault.contains(told), "{fault}");
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_unless_that_was_said() {
    let (listener, port) = here().await;
    let to = || Upstream::parse(&format!("https://hooks.example:{port}")).unwrap();
    let over = || (Resolver::new(Arc::new(Inward)), crate::tls::system().unwrap());
    let refused = Dispatch::believing(to(), false, over()).send(parcel(None, Proof::None)).await;
    assert!(
        refused.unwrap_err().to_string().contains("does not resolve to an address within reach")
    );
    let within = Dispatch::believing(to(), true, over());
    let sent = within.send(parcel(None, Proof::None));
    let (sent, reached) = tokio::join!(sent, async {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
        true
    });
    // It is reached, and does not prove who it is.
    assert!(reached && sent.unwrap_err().to_string().contains("TLS"));
}

#[test]
fn what_is_no_path_or_can_be_guessed_is_refused_without_being_shown() {
    for path in ["services", "", "/a b", "/a\r\nx: y", "/a#b"] {
        let fault = below(&SecretValue::new(path.as_bytes().to_vec())).unwrap_err().to_string();
        assert!(path.is_empty() || !fault.contains("a b") && !fault.contains("x: y"), "{fault}");
    }
    for key in ["k3y-0f-15-bytes", "whsec_AAAA", "whsec_*"] {
        let fault = sign(&SecretValue::new(key.as_bytes().to_vec()), "a", 1, b"").unwrap_err();
        assert!(!fault.to_string().contains(key), "{fault}");
    }
}
