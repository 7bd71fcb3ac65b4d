//! Is a request that was signed with a placeholder signed anew with the real keys, and is nothing wider opened by it?

use crate::court::{Arrived, Judge, Making, Site, Way, echo};
use bartizan_egress::vault::{AwsIdentity, AwsKeys, Declared, Placeholders};
use bartizan_egress::{Bound, Injector, Place, SecretRef, Vault};
use bartizan_gate::name::{HostPort, SecretName};
use bartizan_gate::seat::Binding;
use bartizan_scan::ScanKey;
use std::collections::HashMap;
use std::sync::Arc;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn name() -> SecretName {
    SecretName::parse("cloud").unwrap()
}

async fn way(site: &Site, below: &'static str) -> Way {
    let target = HostPort::parse(&format!("ok.test:{}", site.port)).unwrap();
    let binding = Binding {
        secret: name(),
        target: target.clone(),
        methods: Vec::new(),
        below: below.into(),
    };
    let reference = |text: &str| SecretRef::parse(text).unwrap();
    let (id, secret) = (reference("env://ID"), reference("env://SECRET"));
    let identity = AwsIdentity { own: AwsKeys::Apart { id, secret, token: None }, role: None };
    let vault = Vault::builder()
        .environment(HashMap::from([
            ("ID".to_owned(), "AKIAREALREALREALREAL".into()),
            ("SECRET".to_owned(), SECRET.into()),
        ]))
        .declare(name(), Declared::aws(identity))
        .build();
    let bound = Bound { binding: binding.clone(), place: Place::Aws };
    let placeholders = Arc::new(Placeholders::default());
    let injector = Injector::new(vault, vec![bound], placeholders, ScanKey::new([7; 32]));
    let judge = Judge::new(move |request| {
        let covered =
            binding.covers(request.is_secure(), &target, request.method(), request.path());
        Ok(covered.then(name))
    });
    Way::made(site, judge, Making { injector, ..Making::default() }).await
}

/// The header of a program that signed for this service with what it has.
fn own(service: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAPLACEHOLDER/20260101/eu-west-1/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00\r\nX-Amz-Date: 20260101T000000Z\r\nX-Amz-Security-Token: mine\r\n"
    )
}

/// Whether the signature is the one that the standard's own words lead to, computed by other code than ours.
pub(crate) fn is_good(got: &Arrived, (secret, host): (&str, &str)) -> Option<bool> {
    use std::io::Write as _;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/egress/sigv4.py");
    #[expect(clippy::disallowed_methods, reason = "the test asks other code than ours")]
    let mut child = std::process::Command::new("python3")
        .args([script, secret, host])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .ok()?;
    let request = serde_json::json!({
        "line": got.line, "headers": got.headers, "body": String::from_utf8(got.body.clone()).unwrap()
    });
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(said == "good" || said == "bad", "{said}");
    Some(said == "good")
}

#[tokio::test]
async fn a_placeholders_signature_becomes_a_real_one() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = way(&site, "/").await;
    for (line, service, more, body) in [
        ("GET /bucket/a%20key%2Bmore?prefix=a%2Fb&list-type=2&empty", "s3", "Range: bytes=5-9\r\n".to_owned(), ""),
        ("PUT /bucket/key", "s3", "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-meta-a:  b   c \r\n".to_owned(), "body"),
        ("POST /", "dynamodb", "X-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Type: application/x-amz-json-1.0\r\n".to_owned(), "{}"),
        ("POST /2015-03-31/functions/a%3Ab/invocations", "lambda", String::new(), "{}"),
        ("POST /model/arn%3Aaws%3Aprofile%2Fx/invoke", "bedrock", String::new(), "{}"),
    ] {
        let headers = format!("{}{more}", own(service));
        let answer = way.ask(line, &headers, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{line}: {answer}");
        let got = site.last();
        let proof = got.all("authorization").concat();
        // Who fetches a file in pieces does not look whether it got one.
        assert_eq!(got.all("range").len(), more.matches("Range").count());
        assert!(proof.contains("Credential=AKIAREALREALREALREAL/"), "{proof}");
        assert!(proof.contains(&format!("/eu-west-1/{service}/aws4_request")), "{proof}");
        assert!(got.all("x-amz-security-token").is_empty() && !proof.contains("PLACEHOLDER"));
        assert_ne!(got.all("x-amz-date"), ["20260101T000000Z"]);
        match is_good(&got, (SECRET, &format!("ok.test:{}", site.port))) {
            Some(good) => assert!(good, "{line}: {proof}"),
            None => skipped("the check of signatures by other code: no python3"),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_signed_soundly_does_not_leave() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = way(&site, "/bucket").await;
    let chunks =
        format!("{}x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n", own("s3"));
    let copy = format!("{}x-amz-copy-source: /other/key\r\n", own("s3"));
    for (line, headers, code) in [
        ("GET /bucket/key", String::new(), "signature-missing"),
        ("GET /bucket/key", "Authorization: Bearer mine\r\n".to_owned(), "signature-missing"),
        ("PUT /bucket/key", chunks, "signed-chunks"),
        ("PUT /bucket/key", copy, "copy-refused"),
        ("GET /bucket/key?X-Amz-Signature=0&X-Amz-Credential=x", own("s3"), "signed-url-refused"),
    ] {
        let answer = way.ask(line, &headers, "").await;
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{line} {code}: {answer}");
    }
    assert!(site.lines().is_empty(), "{:?}", site.lines());
    // Beside the binding's path nothing is signed, and the program's own proof does not pass either.
    way.ask("GET /elsewhere", &own("s3"), "").await;
    let got = site.last();
    assert!(got.all("authorization").is_empty() && got.all("x-amz-security-token").is_empty());
}

#[tokio::test]
async fn an_echoed_key_is_hidden() {
    let site = Site::start(&[b"http/1.1"], |_: &Arrived| {
        hyper::Response::new(http_body_util::Full::new(bytes::Bytes::from(SECRET)))
    })
    .await;
    let way = way(&site, "/").await;
    let answer = way.ask("GET /bucket", &own("s3"), "").await;
    assert!(answer.contains("[REDACTED:cloud:") && !answer.contains(SECRET), "{answer}");
}

/// Says aloud that something could not be tried here.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
