use super::*;
use crate::vault::SecretKind;
use miniz_oxide::deflate::compress_to_vec;
use std::sync::Mutex;

/// What was told, in words.
#[derive(Clone, Default)]
struct Heard {
    words: Arc<Mutex<Vec<String>>>,
    lax: bool,
}

impl Heard {
    fn words(&self) -> Vec<String> {
        self.words.lock().unwrap().clone()
    }
}

impl Witness for Heard {
    fn seen(&self, secret: &SecretName) {
        self.words.lock().unwrap().push(secret.to_string());
    }

    fn unread(&self, why: &str) -> bool {
        self.words.lock().unwrap().push(why.to_owned());
        self.lax
    }
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn sought() -> Arc<Placeholders> {
    let mut made = Placeholders::make([(name("s"), SecretKind::GithubToken)]).unwrap();
    made.plant([(name("canary-old"), SecretKind::Opaque)]).unwrap();
    Arc::new(made)
}

fn head(coding: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !coding.is_empty() {
        headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
    }
    headers
}

/// What comes of a body in pieces of `size`, and what was told of it.
fn passed(
    sought: &Arc<Placeholders>,
    (coding, body, size): (&str, &[u8], usize),
    lax: bool,
) -> (Result<(), BodyFlaw>, Vec<String>) {
    let heard = Heard { lax, ..Heard::default() };
    let mut watch = Watch::new(Arc::clone(sought), heard.clone(), &head(coding));
    let seen = body.chunks(size).try_for_each(|piece| watch.see(piece));
    (seen.and_then(|()| watch.end()), heard.words())
}

/// A gzip member.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut crc = !0_u32;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut out = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    out.extend(compress_to_vec(text, 6));
    out.extend((!crc).to_le_bytes());
    out.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    out
}

#[test]
fn a_placeholder_is_seen_across_chunks_and_once() {
    let made = Placeholders::make([(name("s"), SecretKind::GithubToken)]).unwrap();
    let text = format!("xx {0} yy {0}", made.of(&name("s")).unwrap());
    let (came, told) = passed(&Arc::new(made), ("", text.as_bytes(), 7), false);
    assert_eq!((came, told), (Ok(()), vec!["s".to_owned()]), "it is worth nothing, and passes");
}

#[test]
fn what_was_planted_does_not_pass_even_behind_a_placeholder() {
    let sought = sought();
    let texts = ["s", "canary-old"].map(|one| sought.of(&name(one)).unwrap());
    for size in [1, 20, 4096] {
        let body = texts.concat();
        let (came, told) = passed(&sought, ("", body.as_bytes(), size), true);
        assert_eq!((came, told), (Err(BodyFlaw::Withheld), texts_told(size)));
    }
}

/// A whole piece shows both at once, and what was planted counts.
fn texts_told(size: usize) -> Vec<String> {
    let names = if size == 4096 { &["canary-old"][..] } else { &["s", "canary-old"] };
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_was_planted_does_not_pass_in_another_code() {
    let sought = sought();
    let value = sought.of(&name("canary-old")).unwrap();
    let each = |escape: fn(u8) -> String| value.bytes().map(escape).collect::<Vec<_>>().concat();
    let hex = each(|byte| format!("{byte:02x}"));
    let url = each(|byte| format!("%{byte:02X}"));
    let json = each(|byte| format!("\\u{byte:04x}"));
    let turned: String = value.chars().rev().collect();
    for text in [&hex, &url, &json, &turned] {
        let body = format!("k={text}&x=1\n");
        let (came, told) = passed(&sought, ("", body.as_bytes(), 13), false);
        assert_eq!(
            (came, told),
            (Err(BodyFlaw::Withheld), vec!["canary-old".to_owned()]),
            "{body}"
        );
        let packed = gzip(body.as_bytes());
        let (came, _) = passed(&sought, ("gzip", &packed, 13), false);
        assert_eq!(came, Err(BodyFlaw::Withheld), "packed {body}");
    }
}

#[test]
fn what_is_packed_is_looked_into_with_or_without_a_word_of_it() {
    let sought = sought();
    let value = sought.of(&name("canary-old")).unwrap();
    let stolen = gzip(format!("a: {value}\n").as_bytes());
    let honest = gzip(b"a: nothing of the kind\n");
    for coding in ["gzip", "x-gzip", "identity, GZIP", ""] {
        for size in [1, 4096] {
            let (came, told) = passed(&sought, (coding, &stolen, size), false);
            assert_eq!(came, Err(BodyFlaw::Withheld), "{coding} {told:?}");
            assert_eq!(passed(&sought, (coding, &honest, size), false), (Ok(()), vec![]));
        }
    }
}

#[test]
fn what_cannot_be_unpacked_is_told_of_and_leaves_if_that_is_said() {
    let sought = sought();
    let whole = gzip(b"a text");
    let cut = &whole[..whole.len() - 9];
    let bomb = gzip(&vec![b'a'; UNPACKED + 1]);
    for (coding, body, why) in [
        ("compress", &b"text"[..], UNKNOWN),
        ("gzip, gzip", &whole, UNKNOWN),
        ("gzip", b"no gzip at all", GARBLED),
        ("gzip", cut, CUT),
        ("gzip", &bomb, LONG),
    ] {
        let strict = passed(&sought, (coding, body, 4096), false);
        assert_eq!(strict, (Err(BodyFlaw::Unread), vec![why.to_owned()]), "{coding}");
        let lax = passed(&sought, (coding, body, 4096), true);
        assert_eq!(lax, (Ok(()), vec![why.to_owned()]), "{coding}");
    }
    // What only looks like it, and a session in which nothing was planted.
    assert_eq!(passed(&sought, ("", cut, 4096), false), (Ok(()), vec![]));
    let none = Arc::new(Placeholders::make([(name("s"), SecretKind::GithubToken)]).unwrap());
    assert_eq!(passed(&none, ("compress", b"text", 4096), false), (Ok(()), vec![]));
}
