//! Tokens that are bound to a certificate, and keys that change while many ask.
use super::*;
use bartizan_gate::name::RoleName;
use bartizan_mcp::signed::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000;

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// Publishes the one key of this seed, under this name.
fn publish(dir: &TempDir, seed: u8, kid: &str) {
    let x = URL_SAFE_NO_PAD.encode(key(seed).public_key());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x }] });
    std::fs::write(dir.path().join("jwks.json"), keys.to_string()).unwrap();
}

fn token(seed: u8, kid: &str, more: (&str, Value)) -> String {
    let mut claims = json!({ "iss": "https://id.example", "aud": "us", "sub": "ann", "exp": NOW + 60,
                             "scope": "mcp" });
    claims[more.0] = more.1;
    let header = json!({ "alg": "EdDSA", "kid": kid });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let whole = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(key(seed).sign(whole.as_bytes()));
    format!("{whole}.{signature}")
}

async fn issuer(dir: &TempDir) -> Arc<Issuer> {
    publish(dir, 1, "old");
    let role = RoleName::parse("reader").unwrap();
    let issuer = Issuer::new(Oauth {
        expected: Expected {
            issuer: "https://id.example".to_owned(),
            audience: "us".to_owned(),
            algorithms: Algorithm::ALL.to_vec(),
            leeway_s: 0,
        },
        keys: Keys::File(dir.path().join("jwks.json")),
        roles: vec![Claim { path: "scope".to_owned(), has: "mcp".to_owned(), role }],
    });
    issuer.begin().await.unwrap();
    Arc::new(issuer)
}

#[tokio::test]
async fn a_bound_token_is_good_beside_its_own_certificate_alone() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = issuer(&dir).await;
    let own = [7; 32];
    let bound = token(1, "old", ("cnf", json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(own) })));
    assert!(issuer.judge(&bound, NOW, Some(&own)).await.is_ok());
    for other in [None, Some(&[8; 32])] {
        let judged = issuer.judge(&bound, NOW, other).await;
        assert_eq!(judged.err(), Some(Refused::Worthless(Flaw::Bound)), "{other:?}");
    }
}

#[tokio::test]
async fn who_waited_while_another_read_the_new_keys_has_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = issuer(&dir).await;
    publish(&dir, 2, "new");
    // Another has asked first, and is not done.
    let mut asked = issuer.asked.lock().await;
    let waiting = Arc::clone(&issuer);
    let waits = tokio::spawn(async move {
        let fresh = token(2, "new", ("jti", json!("1")));
        waiting.judge(&fresh, NOW, None).await.map(|(_, role, _)| role)
    });
    tokio::task::yield_now().await;
    *asked = Some(Instant::now());
    issuer.read().await.unwrap();
    drop(asked);
    assert_eq!(waits.await.unwrap(), Ok("reader".to_owned()));
    // A key that is in no set does not have them read again.
    let unknown = token(3, "none", ("jti", json!("1")));
    let judged = issuer.judge(&unknown, NOW, None).await;
    assert_eq!(judged.err(), Some(Refused::Worthless(Flaw::KeyUnknown)));
}
