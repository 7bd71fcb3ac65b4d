//! Does what was planted in a box leave in any part of a request's head?

use crate::court::{Judge, Making, Site, Way, echo};
use crate::credentials::name;
use bartizan_egress::vault::{Placeholders, SecretKind};
use bartizan_egress::{Bound, Injector, Place, Vault};
use bartizan_gate::name::{HostPort, SecretName};
use bartizan_gate::seat::Binding;
use bartizan_scan::ScanKey;
use std::sync::Arc;

/// A way on which one value is sought, and the value; to a host whose requests are signed, if a secret is `bound` to it.
async fn way(site: &Site, bound: bool) -> (Way, String) {
    let mut placeholders = Placeholders::default();
    let canary = SecretName::parse("canary-old").unwrap();
    placeholders.plant([(canary, SecretKind::AwsAccessKey)]).unwrap();
    let value = placeholders.canaries().next().unwrap().1.to_owned();
    let binding = Binding {
        secret: name(),
        target: HostPort::parse(&format!("ok.test:{}", site.port)).unwrap(),
        methods: Vec::new(),
        below: "/".into(),
    };
    let bound = bound.then_some(Bound { binding, place: Place::Aws });
    let (vault, key) = (Vault::builder().build(), ScanKey::new([7; 32]));
    let injector = Injector::new(vault, bound.into_iter().collect(), Arc::new(placeholders), key);
    (Way::made(site, Judge::yes(), Making { injector, ..Making::default() }).await, value)
}

#[tokio::test]
async fn a_planted_value_leaves_in_no_part_of_a_head() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let (way, value) = way(&site, false).await;
    let hex = value.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    for (line, headers, place) in [
        (format!("{value} /"), String::new(), "method"),
        (format!("GET /{value}"), String::new(), "url"),
        (format!("GET /?q={hex}"), String::new(), "url"),
        ("GET /".to_owned(), format!("X-Note: {value}\r\n"), "x-note"),
        ("GET /".to_owned(), format!("X-{hex}: 1\r\n"), "header name"),
    ] {
        let before = way.judge.alarms().len();
        let answer = way.ask(&line, &headers, "").await;
        assert!(answer.contains("request-withheld"), "{place}: {answer}");
        let told = way.judge.alarms();
        assert_eq!(told[before..], [format!("canary-old at ok.test in {place}")]);
    }
    assert_eq!(site.lines(), Vec::<String>::new());
    assert!(way.ask("GET /honest", "X-Note: AKIA\r\n", "").await.starts_with("HTTP/1.1 200"));
}

/// Where requests are signed, the headers of AWS are passed on, though others like them are taken out as credentials.
#[tokio::test]
async fn nor_in_a_header_that_is_passed_on_to_a_host_with_a_credential() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let (way, value) = way(&site, true).await;
    let answer = way.ask("PUT /note", &format!("X-Amz-Meta-Note: {value}\r\n"), "").await;
    assert!(answer.contains("request-withheld"), "{answer}");
    assert_eq!(way.judge.alarms(), ["canary-old at ok.test in x-amz-meta-note"]);
    // What is taken out is where a program puts what it has.
    way.ask("PUT /note", &format!("X-Amz-Security-Token: {value}\r\n"), "").await;
    assert_eq!((way.judge.alarms().len(), site.lines()), (1, vec!["PUT /note".to_owned()]));
    assert!(site.last().all("x-amz-security-token").is_empty());
}

/// A body beside the request for a WebSocket would be neither looked into nor counted.
#[tokio::test]
async fn a_websocket_is_asked_for_without_a_body() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let (way, value) = way(&site, false).await;
    let headers = "Upgrade: websocket\r\n";
    assert!(way.ask("GET /chat", headers, &value).await.starts_with("HTTP/1.1 400"));
    let chunked = format!("{headers}Transfer-Encoding: chunked\r\n");
    let ask = format!(
        "GET /chat HTTP/1.1\r\nHost: ok.test:{}\r\n{chunked}\r\n14\r\n{value}\r\n0\r\n\r\n",
        site.port
    );
    assert!(way.raw(ask.as_bytes()).await.starts_with("HTTP/1.1 400"));
    assert_eq!(site.lines(), Vec::<String>::new());
}
