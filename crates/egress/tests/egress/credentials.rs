//! Does a secret go where it is bound, once, and nowhere else; and does it never come back?

use crate::court::{Arrived, Judge, Making, Site, Way, echo};
use bartizan_egress::vault::{Declared, Placeholders, SecretKind};
use bartizan_egress::{Bound, Injector, Place, SecretRef, Vault};
use bartizan_gate::name::{HostPort, SecretName};
use bartizan_gate::seat::Binding;
use bartizan_scan::ScanKey;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::ext::ReasonPhrase;
use hyper::header::HeaderName;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) const VALUE: &str = "ghp_realValue0123456789abcdefghijklmn";

pub(crate) fn name() -> SecretName {
    SecretName::parse("github").unwrap()
}

/// What stands for the secret in a box; the same in all of a test's ways.
pub(crate) fn placeholders() -> Arc<Placeholders> {
    Arc::new(Placeholders::make([(name(), SecretKind::GithubToken)]).unwrap())
}

pub(crate) fn injector(
    port: u16,
    place: &str,
    path: &str,
    (value, placeholders): (Option<&str>, &Arc<Placeholders>),
) -> Injector {
    let binding = Binding {
        secret: name(),
        target: HostPort::parse(&format!("ok.test:{port}")).unwrap(),
        methods: vec!["GET".into(), "POST".into()],
        below: path.into(),
    };
    let variables = value.map(|value| ("T".to_owned(), value.into()));
    let vault = Vault::builder()
        .environment(HashMap::from_iter(variables))
        .declare(name(), Declared::new(SecretRef::parse("env://T").unwrap()))
        .build();
    let bound = Bound { binding, place: Place::parse(place).unwrap() };
    Injector::new(vault, vec![bound], Arc::clone(placeholders), ScanKey::new([7; 32]))
}

/// A judge that grants the secret as the gate does: by the binding.
pub(crate) fn granting(site: &Site, path: &'static str) -> Arc<Judge> {
    let target = HostPort::parse(&format!("ok.test:{}", site.port)).unwrap();
    let binding = Binding {
        secret: name(),
        target: target.clone(),
        methods: vec!["GET".into(), "POST".into()],
        below: path.into(),
    };
    Judge::new(move |request| {
        let covered =
            binding.covers(request.is_secure(), &target, request.method(), request.path());
        Ok(covered.then(name))
    })
}

pub(crate) async fn way(site: &Site, place: &str, value: Option<&str>) -> Way {
    let injector = injector(site.port, place, "/api", (value, &placeholders()));
    Way::made(site, granting(site, "/api"), Making { injector, ..Making::default() }).await
}

/// ATTACKS K04.
#[tokio::test]
async fn the_boxs_own_credentials_are_taken_out_and_one_is_put_in() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let own = "Authorization: Bearer mine\r\nauthorization: Basic bWluZQ==\r\nCookie: session=mine\r\nX-Api-Key: mine\r\n\
               Proxy-Authorization: Basic bWluZQ==\r\nPRIVATE-TOKEN: mine\r\nX-Auth-Key: mine\r\nx_api_key: mine\r\nAccept: */*\r\n";
    for (place, header, value) in [
        ("bearer", "authorization", format!("Bearer {VALUE}")),
        ("header:PRIVATE-TOKEN", "private-token", VALUE.to_owned()),
        ("cookie:sid", "cookie", format!("sid={VALUE}")),
    ] {
        let way = way(&site, place, Some(VALUE)).await;
        let answer = way.ask("GET /api/user?access_token=mine&a=1&api%5Fkey=mine", own, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let got = site.last();
        assert_eq!(got.line, "GET /api/user?a=1");
        assert_eq!(got.all(header), [value]);
        let headers = format!("{:?}", got.headers);
        assert!(!headers.contains("mine") && !headers.contains("bWluZQ"), "{headers}");
        assert_eq!(got.all("accept"), ["*/*"]);
    }
    let basic = way(&site, "basic:x-access-token", Some("pass:word-12345")).await;
    basic.ask("GET /api", "", "").await;
    assert_eq!(
        site.last().all("authorization"),
        ["Basic eC1hY2Nlc3MtdG9rZW46cGFzczp3b3JkLTEyMzQ1"]
    );
    let query = way(&site, "query:key", Some("a&b=c/d-12345")).await;
    query.ask("GET /api?key=mine&x=1", "", "").await;
    assert_eq!(site.last().line, "GET /api?x=1&key=a%26b%3Dc%2Fd-12345");
}

/// `aws s3 cp` and `pip` ask how long a file is before they fetch it.
#[tokio::test]
async fn a_head_tells_its_length() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    let get = way.ask("GET /api/x", "", "").await.to_lowercase();
    let head = way.ask("HEAD /api/x", "", "").await.to_lowercase();
    assert!(!get.contains("content-length:"), "a masked body has no known length: {get}");
    assert!(head.contains("content-length:"), "{head}");
}

/// ATTACKS K04: trailers are the last place for a header.
#[tokio::test]
async fn a_credential_in_trailers_goes_nowhere() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    let text = format!(
        "POST /api HTTP/1.1\r\nHost: ok.test:{}\r\nConnection: close\r\nTE: trailers\r\nTrailer: authorization\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nauthorization: Bearer mine\r\n\r\n",
        site.port
    );
    assert!(way.raw(text.as_bytes()).await.starts_with("HTTP/1.1 200"));
    let got = site.last();
    assert_eq!(
        (got.all("authorization"), got.body.as_slice()),
        (vec![format!("Bearer {VALUE}").as_str()], &b"hi"[..])
    );
}

#[tokio::test]
async fn a_request_that_the_binding_does_not_cover_goes_without_any() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    for line in ["GET /other", "GET /apiary", "GET /api/../other", "DELETE /api/x"] {
        let answer = way.ask(line, "Authorization: Bearer mine\r\n", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{line}: {answer}");
        assert!(site.last().all("authorization").is_empty(), "{line}");
    }
}

#[tokio::test]
async fn without_the_secret_nothing_goes() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    for (value, code) in [
        (None, "secret-unavailable"),
        (Some(""), "secret-unavailable"),
        (Some("short"), "secret-unfit"),
    ] {
        let way = way(&site, "bearer", value).await;
        let answer = way.ask("GET /api", "Authorization: Bearer mine\r\n", "").await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains(code), "{value:?}: {answer}");
    }
    assert!(site.lines().is_empty());
}

/// ATTACKS K06.
#[tokio::test]
async fn a_signed_url_is_not_half_signed() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    let answer =
        way.ask("GET /api?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1", "", "").await;
    assert!(answer.contains("signed-url-refused"), "{answer}");
    assert!(site.lines().is_empty());
}

fn hex(text: &str) -> String {
    let digits: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// What an echoing site makes of the secret that it got.
fn reflecting(arrived: &Arrived) -> Response<Full<Bytes>> {
    let value = arrived.all("authorization").concat().replace("Bearer ", "");
    let hex = hex(&value);
    let text = format!("{{\"token\":\"{value}\",\"hex\":\"{hex}\"}}\n{value}\n");
    let mut response = Response::new(Full::new(Bytes::from(text.repeat(50))));
    let headers = response.headers_mut();
    headers.insert("x-echo", format!("Bearer {value}").parse().unwrap());
    headers.insert("set-cookie", format!("t={value}").parse().unwrap());
    headers.insert(hex.parse::<HeaderName>().unwrap(), "1".parse().unwrap());
    let words = ReasonPhrase::try_from(format!("OK with {value}").into_bytes()).unwrap();
    response.extensions_mut().insert(words);
    response
}

/// ATTACKS K03.
#[tokio::test]
async fn what_a_site_echoes_is_taken_out() {
    let site = Site::start(&[b"http/1.1"], reflecting).await;
    let way = way(&site, "bearer", Some(VALUE)).await;
    let answer = way.ask("GET /api", "Accept-Encoding: gzip, br\r\nRange: bytes=0-9\r\n", "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("[REDACTED:github:"), "{answer}");
    let hex = hex(VALUE);
    for form in [VALUE, &hex, "set-cookie"] {
        assert!(!answer.contains(form), "{form} came back");
    }
    let got = site.last();
    assert_eq!(got.all("accept-encoding"), ["identity"]);
    assert!(got.all("range").is_empty());
    assert!(way.judge.outcomes.lock().unwrap().last().unwrap().hidden > 100);
    assert!(way.ask("TRACE /api", "", "").await.starts_with("HTTP/1.1 405"));
}

/// ATTACKS K01 and K02.
#[tokio::test]
async fn a_placeholder_is_worth_nothing_and_seen_elsewhere_is_an_alarm() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let held = placeholders();
    let placeholder = held.of(&name()).unwrap();
    let injector_of = |path| injector(site.port, "bearer", path, (Some(VALUE), &held));
    let making = Making { injector: injector_of("/api"), ..Making::default() };
    let way = Way::made(&site, granting(&site, "/api"), making).await;
    // Where it belongs: taken out like any credential, no alarm.
    way.ask("GET /api", &format!("Authorization: Bearer {placeholder}\r\n"), "").await;
    assert_eq!(site.last().all("authorization"), [format!("Bearer {VALUE}")]);
    assert!(way.judge.alarms().is_empty());
    let referer = format!("Referer: https://x/{placeholder}\r\n");
    for (line, headers, body, place) in [
        (format!("GET /api?q={placeholder}"), "", "", "url"),
        (format!("GET /api/{placeholder}"), "", "", "url"),
        ("GET /api".to_owned(), referer.as_str(), "", "referer"),
        ("POST /api".to_owned(), "", placeholder, "body"),
    ] {
        let before = way.judge.alarms().len();
        let answer = way.ask(&line, headers, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let alarms = way.judge.alarms();
        assert_eq!(
            alarms.get(before..).unwrap(),
            [format!("github at ok.test in {place}")],
            "{line}"
        );
        let got = site.last();
        assert_eq!(format!("{got:?}").matches(VALUE).count(), 1, "never a substitution: {got:?}");
    }
    // Another host, and plain HTTP: what arrives is the placeholder.
    let plain = Site::plain().await;
    let making = Making {
        injector: injector_of("/"),
        tls: bartizan_egress::Tls::Terminate,
        ..Making::default()
    };
    let way = Way::made(&plain, Judge::new(|_| Ok(None)), making).await;
    let mut stream = way.tunnel().await;
    let text = format!(
        "GET /api HTTP/1.1\r\nHost: ok.test:{}\r\nConnection: close\r\nAuthorization: Bearer {placeholder}\r\n\r\n",
        plain.port
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
    let answer = crate::support::rest(&mut stream).await;
    assert!(answer.contains(placeholder) && !answer.contains(VALUE), "{answer}");
    assert_eq!(way.judge.alarms(), ["github at ok.test in authorization"]);
}

/// ATTACKS K02: a judge that grants what the binding does not cover changes nothing.
#[tokio::test]
async fn a_secret_that_is_granted_beside_its_binding_is_refused() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let injector = injector(site.port, "bearer", "/api", (Some(VALUE), &placeholders()));
    let way = Way::made(
        &site,
        Judge::new(|_| Ok(Some(name()))),
        Making { injector, ..Making::default() },
    )
    .await;
    assert!(way.ask("GET /other", "", "").await.contains("secret-unavailable"));
    assert!(way.ask("GET /api", "", "").await.starts_with("HTTP/1.1 200"));
}
