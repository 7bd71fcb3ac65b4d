//! Is anything taken that is not whole, for us, to this challenge, by this key, with the person there?

use super::*;

#[path = "../../../../tests/e2e/support/authenticator.rs"]
mod authenticator;

use authenticator::{Authenticator, MAKING, THERE, attestation, client, data, text};

const HOST: &str = "c.example";
const ORIGIN: &str = "https://c.example:8485";

fn site() -> Site {
    Site { host: HOST.to_owned(), origin: ORIGIN.to_owned() }
}

fn challenge() -> Digest {
    Digest::of(b"what is meant")
}

fn both() -> [Authenticator; 2] {
    [Authenticator::p256(b"one"), Authenticator::ed25519(b"two")]
}

fn make(attestation: &[u8]) -> Result<Made, Why> {
    let client = client("create", &text(challenge().as_bytes()), ORIGIN);
    made(&site(), &challenge(), &client, attestation)
}

fn key(passkey: &Authenticator) -> PasskeyKey {
    make(&attestation(&passkey.made(HOST, MAKING))).unwrap().key
}

/// What this authenticator says, with this data and client.
fn says(passkey: &Authenticator, authenticator: Vec<u8>, client: Vec<u8>) -> Assertion {
    let signature = passkey.signs(&authenticator, &client);
    Assertion { credential: passkey.id.clone(), authenticator, client, signature }
}

fn ours() -> Vec<u8> {
    client("get", &text(challenge().as_bytes()), ORIGIN)
}

fn take(key: &PasskeyKey, said: &Assertion) -> Result<u32, Why> {
    used(&site(), &challenge(), (key, false), said)
}

#[test]
fn what_is_made_here_can_be_used_here() {
    for passkey in both() {
        let made = make(&attestation(&passkey.made(HOST, MAKING))).unwrap();
        assert_eq!((&made.credential, made.counter, made.synced), (&passkey.id, 0, false));
        let said = says(&passkey, data(HOST, THERE, 7), ours());
        assert_eq!(take(&made.key, &said), Ok(7));
        // What an authenticator adds unasked is read over.
        let more = [data(HOST, THERE | 0x80, 8).as_slice(), b"\xa1\x6bcredProtect\x02"].concat();
        assert_eq!(take(&made.key, &says(&passkey, more, ours())), Ok(8));
    }
}

#[test]
fn another_page_challenge_or_act_is_refused() {
    let passkey = Authenticator::p256(b"one");
    let key = key(&passkey);
    let asked = text(challenge().as_bytes());
    let other = text(Digest::of(b"another question").as_bytes());
    let framed = String::from_utf8(ours()).unwrap();
    for bad in [
        client("get", &asked, "https://c.example"),
        client("get", &asked, "https://c.example:8486"),
        client("get", &asked, "http://c.example:8485"),
        client("get", &asked, "https://evil.example:8485"),
        client("get", &asked, ""),
        client("get", &other, ORIGIN),
        client("get", "", ORIGIN),
        client("get", &format!("{asked}="), ORIGIN),
        client("create", &asked, ORIGIN),
        framed.replace("\"crossOrigin\":false", "\"crossOrigin\":true").into_bytes(),
        framed
            .replace("\"crossOrigin\":false", "\"topOrigin\":\"https://evil.example\"")
            .into_bytes(),
        framed.replace("\"crossOrigin\":false", &format!("\"origin\":\"{ORIGIN}\"")).into_bytes(),
        framed.replace("\"crossOrigin\":false", "\"crossOrigin\":0").into_bytes(),
        b"{}".to_vec(),
        Vec::new(),
        [&ours()[..], b"x"].concat(),
    ] {
        let said = says(&passkey, data(HOST, THERE, 1), bad);
        assert!(take(&key, &said).is_err(), "{}", String::from_utf8_lossy(&said.client));
    }
    let make = |client: &[u8]| {
        made(&site(), &challenge(), client, &attestation(&passkey.made(HOST, MAKING)))
    };
    assert!(make(&client("create", &asked, ORIGIN)).is_ok());
    assert!(make(&ours()).is_err(), "used, and not made");
    assert!(make(&client("create", &asked, "https://evil.example")).is_err());
    assert!(make(&client("create", &other, ORIGIN)).is_err());
}

#[test]
fn who_was_not_there_or_elsewhere_is_refused() {
    let passkey = Authenticator::ed25519(b"one");
    let key = key(&passkey);
    for bad in [
        data("evil.example", THERE, 1),
        data("c.example:8485", THERE, 1),
        data(HOST, 0, 1),
        data(HOST, 0b001, 1),
        data(HOST, 0b100, 1),
        data(HOST, THERE | 0x10, 1),
        data(HOST, THERE | 0x08, 1),
        data(HOST, THERE | 0x80, 1),
        data(HOST, MAKING, 1),
        passkey.made(HOST, MAKING),
        [&data(HOST, THERE, 1)[..], b"\x00"].concat(),
        [&data(HOST, THERE | 0x80, 1)[..], b"\x00"].concat(),
        data(HOST, THERE, 1)[..36].to_vec(),
        Vec::new(),
    ] {
        assert!(take(&key, &says(&passkey, bad.clone(), ours())).is_err(), "{bad:x?}");
    }
}

#[test]
fn another_key_or_an_altered_word_is_refused() {
    for (passkey, other) in both().into_iter().zip(both()) {
        let (own, theirs) = (key(&passkey), key(&other));
        let said = says(&passkey, data(HOST, THERE, 1), ours());
        assert!(take(&own, &said).is_ok());
        assert_eq!(take(&theirs, &said), Err("the signature does not fit"));
        let odd = PasskeyKey { algorithm: -257, ..own.clone() };
        assert!(take(&odd, &said).is_err());
        let swapped = PasskeyKey { algorithm: ES256 + EDDSA - own.algorithm, ..own.clone() };
        assert!(take(&swapped, &said).is_err());
        let empty = Assertion { signature: Vec::new(), ..said.clone() };
        assert!(take(&own, &empty).is_err());
        for at in 0..said.signature.len() {
            let mut altered = said.clone();
            altered.signature[at] ^= 1;
            assert!(take(&own, &altered).is_err(), "byte {at}");
        }
        for at in 33..said.authenticator.len() {
            let mut altered = said.clone();
            altered.authenticator[at] ^= 1;
            assert!(take(&own, &altered).is_err(), "the counter's byte {at}");
        }
        let spaced = String::from_utf8(ours()).unwrap().replace('{', "{ ").into_bytes();
        assert!(take(&own, &Assertion { client: spaced, ..said }).is_err());
    }
}

#[test]
fn an_attestation_or_another_kind_of_key_is_refused() {
    let passkey = Authenticator::p256(b"one");
    let whole = attestation(&passkey.made(HOST, MAKING));
    assert!(make(&whole).is_ok());
    let find = |part: &[u8]| whole.windows(part.len()).position(|at| at == part).unwrap();
    let replaced = |part: &[u8], by: &[u8]| {
        let at = find(part);
        [&whole[..at], by, &whole[at + part.len()..]].concat()
    };
    for bad in [
        replaced(b"none", b"self"),
        replaced(b"attStmt\xa0", b"attStmt\xa1\x00\x00"),
        replaced(b"attStmt\xa0", b"attStmt\x80"),
        replaced(b"authData", b"authdata"),
        replaced(b"\x01\x02\x03\x26", b"\x01\x01\x03\x26"),
        replaced(b"\x01\x02\x03\x26", b"\x01\x02\x03\x27"),
        replaced(b"\x20\x01\x21", b"\x20\x02\x21"),
        attestation(&passkey.made(HOST, THERE)),
        attestation(&data(HOST, THERE, 0)),
        attestation(&data(HOST, MAKING, 0)),
        attestation(&[&passkey.made(HOST, MAKING)[..], b"\x00"].concat()),
        attestation(&passkey.made("evil.example", MAKING)),
        attestation(&passkey.made(HOST, MAKING & !4)),
    ] {
        assert!(make(&bad).is_err(), "{bad:x?}");
    }
    for end in 0..whole.len() {
        assert!(make(&whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn garbage_makes_no_passkey_and_no_harm() {
    let passkey = Authenticator::p256(b"one");
    let (key, whole) = (key(&passkey), attestation(&passkey.made(HOST, MAKING)));
    let said = says(&passkey, data(HOST, THERE, 1), ours());
    // xorshift: the same changes at each run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    for _ in 0..2_000 {
        let mut bad = whole.clone();
        for _ in 0..=next(3) {
            let at = next(bad.len());
            bad[at] = u8::try_from(next(256)).unwrap();
        }
        bad.truncate(bad.len() - next(2));
        // A changed id, counter or coordinate is another passkey; what was read has the form that it must.
        if let Ok(made) = make(&bad) {
            assert!(made.key.bytes.len() == 65 && made.key.algorithm == ES256);
        }
        let mut bad = said.clone();
        let at = next(bad.authenticator.len());
        bad.authenticator[at] ^= u8::try_from(next(255) + 1).unwrap();
        assert!(take(&key, &bad).is_err());
    }
}
