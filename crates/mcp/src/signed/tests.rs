//! Forged, stolen and confused tokens, each beside one that is good.
use super::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Issuer {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

impl Issuer {
    fn new(seed: u8) -> Self {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            ed: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random)
                .unwrap(),
        }
    }

    fn jwks(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": encode(self.ed.public_key()) },
            { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256",
              "x": encode(&point[1..33]), "y": encode(&point[33..]) },
            { "kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB" },
            { "kty": "EC", "crv": "P-521", "kid": "big", "x": "AA", "y": "AA" },
        ]})
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(self.jwks().to_string().as_bytes()).unwrap()
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = if header.contains("ES256") {
            self.ec.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
        } else {
            self.ed.sign(signed.as_bytes()).as_ref().to_vec()
        };
        format!("{signed}.{}", encode(signature))
    }
}

fn expected() -> Expected {
    Expected {
        issuer: "https://id.example".to_owned(),
        audience: "https://mcp.example/mcp".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        leeway_s: 30,
    }
}

fn good() -> Value {
    json!({ "iss": "https://id.example", "aud": ["https://mcp.example/mcp", "x"], "sub": "ann",
            "exp": NOW + 60, "nbf": NOW, "iat": NOW, "scope": "tools:read tools:call",
            "realm": { "roles": ["coder"] } })
}

const ED: &str = r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#;

fn flaw(claims: &Value) -> Option<Flaw> {
    let issuer = Issuer::new(1);
    check(&issuer.sign(ED, &claims.to_string()), &issuer.keys(), &expected(), NOW, None).err()
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

#[test]
fn what_our_issuer_signed_for_us_is_good() {
    let issuer = Issuer::new(1);
    for header in [ED, r#"{"alg":"ES256","kid":"ec"}"#, r#"{"alg":"ES256"}"#] {
        let token = issuer.sign(header, &good().to_string());
        let claims = check(&token, &issuer.keys(), &expected(), NOW, None).unwrap();
        assert_eq!((claims.subject(), claims.expires_s()), ("ann", NOW + 60));
        assert!(claims.says("scope", "tools:call") && !claims.says("scope", "tools"));
        assert!(claims.says("realm.roles", "coder") && !claims.says("realm", "coder"));
        assert!(claims.says("sub", "ann") && !claims.says("nope", "ann"));
    }
}

#[test]
fn a_token_for_somebody_else_or_from_somebody_else_is_refused() {
    for other in
        [json!("https://other.example"), json!([]), json!({}), json!("https://mcp.example/mcp/")]
    {
        assert_eq!(flaw(&with("aud", other)), Some(Flaw::Audience));
    }
    for other in
        [json!("https://id.example/"), json!("https://evil.example"), json!(["https://id.example"])]
    {
        assert_eq!(flaw(&with("iss", other)), Some(Flaw::Issuer));
    }
    assert_eq!(flaw(&with("aud", json!("https://mcp.example/mcp"))), None);
}

#[test]
fn time_is_kept_within_the_leeway_and_must_be_a_number() {
    assert_eq!(flaw(&with("exp", json!(NOW - 29))), None);
    assert_eq!(flaw(&with("exp", json!(NOW - 30))), Some(Flaw::Expired));
    assert_eq!(flaw(&with("nbf", json!(NOW + 30))), None);
    assert_eq!(flaw(&with("nbf", json!(NOW + 31))), Some(Flaw::NotYet));
    assert_eq!(flaw(&with("exp", json!(1_800_000_060.5))), None);
    for odd in
        [json!("1900000000"), json!(-1), json!(null), json!([NOW + 60]), json!(1e300), json!(true)]
    {
        assert_eq!(flaw(&with("exp", odd.clone())), Some(Flaw::Malformed), "{odd}");
        assert_eq!(flaw(&with("nbf", odd)), Some(Flaw::Malformed));
    }
    let mut endless = good();
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(flaw(&endless), Some(Flaw::Malformed));
}

#[test]
fn a_date_with_an_exponent_is_none() {
    let issuer = Issuer::new(1);
    for odd in ["1.9e9", "1.8e300", "2.0E9", "1800000000.", "1800000000.5e9", "1_800_000_000"] {
        for name in ["exp", "nbf"] {
            let number = good()[name].to_string();
            let claims = good()
                .to_string()
                .replace(&format!(r#""{name}":{number}"#), &format!(r#""{name}":{odd}"#));
            let token = issuer.sign(ED, &claims);
            let judged = check(&token, &issuer.keys(), &expected(), NOW, None);
            assert_eq!(judged.err(), Some(Flaw::Malformed), "{claims}");
        }
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_passes_with_that_certificate_alone() {
    let issuer = Issuer::new(1);
    let (own, other) = ([7; 32], [8; 32]);
    let named = |digest: &[u8; 32]| json!({ "x5t#S256": encode(digest) });
    let judge = |bound: Value, shown: Option<&[u8; 32]>| {
        let token = issuer.sign(ED, &with("cnf", bound).to_string());
        check(&token, &issuer.keys(), &expected(), NOW, shown).err()
    };
    assert_eq!(judge(named(&own), Some(&own)), None);
    assert_eq!(judge(named(&own), Some(&other)), Some(Flaw::Bound));
    assert_eq!(judge(named(&own), None), Some(Flaw::Bound));
    let mut both = named(&own);
    both["jkt"] = json!("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    for bound in [
        both,
        json!({ "jkt": encode(own) }),
        json!({ "jwk": issuer.jwks()["keys"][0] }),
        json!({ "kid": "ed" }),
        json!({ "x5t#S256": encode(own), "osc": {} }),
        json!({ "x5t#S256": [encode(own)] }),
        json!({ "x5t": encode(own) }),
        json!({ "x5t#S256": "" }),
        json!({}),
        json!(null),
        json!([]),
        json!(encode(own)),
    ] {
        for shown in [None, Some(&own)] {
            assert_eq!(judge(bound.clone(), shown), Some(Flaw::Bound), "{bound}");
        }
    }
}

#[test]
fn the_algorithm_is_the_keys_not_the_tokens() {
    let issuer = Issuer::new(1);
    let (keys, claims) = (issuer.keys(), good().to_string());
    let try_header =
        |header: &str| check(&issuer.sign(header, &claims), &keys, &expected(), NOW, None).err();
    for name in ["none", "None", "NONE", "nOnE", "HS256", "HS512", "RS512", "PS256", ""] {
        let header = json!({ "alg": name, "kid": "ed" }).to_string();
        assert_eq!(try_header(&header), Some(Flaw::Algorithm), "{name}");
    }
    // An HMAC whose secret is the public key, and no signature at all.
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","kid":"ed"}"#), encode(&claims));
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, issuer.ed.public_key().as_ref());
    let mac = encode(ring::hmac::sign(&secret, signed.as_bytes()));
    assert_eq!(
        check(&format!("{signed}.{mac}"), &keys, &expected(), NOW, None).err(),
        Some(Flaw::Algorithm)
    );
    let bare = format!("{}.{}.", encode(ED), encode(&claims));
    assert_eq!(check(&bare, &keys, &expected(), NOW, None).err(), Some(Flaw::Signature));
    // The right key under another algorithm's name.
    assert_eq!(try_header(r#"{"alg":"ES256","kid":"ed"}"#), Some(Flaw::KeyUnknown));
    let mut narrow = expected();
    narrow.algorithms = vec![Algorithm::Rs256];
    assert_eq!(
        check(&issuer.sign(ED, &claims), &keys, &narrow, NOW, None).err(),
        Some(Flaw::Algorithm)
    );
}

#[test]
fn a_forged_or_altered_token_is_refused() {
    let (issuer, other) = (Issuer::new(1), Issuer::new(2));
    let claims = good().to_string();
    let forged = other.sign(ED, &claims);
    assert_eq!(check(&forged, &issuer.keys(), &expected(), NOW, None).err(), Some(Flaw::Signature));
    let token = issuer.sign(ED, &claims);
    let mut parts: Vec<&str> = token.split('.').collect();
    let wider = encode(with("sub", json!("root")).to_string());
    parts[1] = &wider;
    assert_eq!(
        check(&parts.join("."), &issuer.keys(), &expected(), NOW, None).err(),
        Some(Flaw::Signature)
    );
    let unknown = issuer.sign(r#"{"alg":"EdDSA","kid":"new"}"#, &claims);
    assert_eq!(
        check(&unknown, &issuer.keys(), &expected(), NOW, None).err(),
        Some(Flaw::KeyUnknown)
    );
}

#[test]
fn a_key_that_a_token_brings_along_is_not_looked_at() {
    let (issuer, evil) = (Issuer::new(1), Issuer::new(2));
    // There is nothing here that could follow them: the keys are handed in.
    let (key, away) = (evil.jwks()["keys"][0].clone(), json!("https://evil.example/jwks"));
    for (name, value) in
        [("jwk", key), ("jku", away.clone()), ("x5u", away), ("x5c", json!(["AAAA"]))]
    {
        let mut own = json!({ "alg": "EdDSA", "kid": "ed" });
        own[name] = value;
        let token = evil.sign(&own.to_string(), &good().to_string());
        let judged = check(&token, &issuer.keys(), &expected(), NOW, None);
        assert_eq!(judged.err(), Some(Flaw::Signature), "{name}");
    }
}

#[test]
fn what_has_no_single_reading_is_refused() {
    let issuer = Issuer::new(1);
    let twice = good().to_string().replacen('{', r#"{"sub":"root","#, 1);
    for (header, claims) in [
        (ED, twice.as_str()),
        (r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#, "{}"),
        (r#"{"alg":"EdDSA","kid":"ed","crit":["exp"]}"#, "{}"),
        (r#"{"alg":"EdDSA","kid":"ed","b64":false}"#, "{}"),
        (r#"{"alg":"EdDSA","kid":"ed","typ":"dpop+jwt"}"#, "{}"),
        (r#"{"alg":"EdDSA","kid":7}"#, "{}"),
        (ED, "[]"),
        ("{", "{}"),
    ] {
        let token = issuer.sign(header, claims);
        assert_eq!(
            check(&token, &issuer.keys(), &expected(), NOW, None).err(),
            Some(Flaw::Malformed),
            "{header} {claims}"
        );
    }
    let good = issuer.sign(ED, &good().to_string());
    for token in [
        "",
        ".",
        "..",
        "a.b",
        &format!("{good}."),
        &format!("{good}="),
        &format!(" {good}"),
        &"a".repeat(20_000),
    ] {
        assert_eq!(
            check(token, &issuer.keys(), &expected(), NOW, None).err(),
            Some(Flaw::Malformed),
            "{token}"
        );
    }
}

#[test]
fn a_key_set_is_read_strictly_and_never_holds_a_private_key() {
    let parse = |text: &str| KeySet::parse(text.as_bytes()).err();
    assert_eq!(parse("{"), Some(KeysError::Malformed));
    assert_eq!(parse(r#"{"keys":{}}"#), Some(KeysError::Malformed));
    assert_eq!(parse(r#"{"keys":[]}"#), Some(KeysError::Empty));
    assert_eq!(parse(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#), Some(KeysError::Private));
    let mut leaked = Issuer::new(1).jwks();
    leaked["keys"][0]["d"] = json!("AA");
    assert_eq!(parse(&leaked.to_string()), Some(KeysError::Private));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(token in "[A-Za-z0-9_.-]{0,200}") {
        proptest::prop_assert!(check(&token, &KeySet::default(), &expected(), NOW, None).is_err());
    }
}
