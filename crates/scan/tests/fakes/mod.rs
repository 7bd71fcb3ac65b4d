//! Which made-up secrets and look-alikes do the tests use? They are put together at run time, so that no scanner
//! of this repository takes them for real ones.
#![expect(
    clippy::expect_used,
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test data"
)]

use bartizan_scan::{KnownSecret, Redactor, ScanKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

pub(crate) fn known(name: &str, value: &str) -> KnownSecret {
    KnownSecret { name: name.into(), value: value.to_owned().into() }
}

pub(crate) fn redactor(secrets: &[(&str, &str)]) -> Redactor {
    let known: Vec<_> = secrets.iter().map(|(name, value)| known(name, value)).collect();
    Redactor::new(ScanKey::new([42; 32]), known).expect("the secrets are usable")
}

/// `len` characters of `alphabet`, the same on every run, with letters and digits mixed.
pub(crate) fn noise(seed: u64, len: usize, alphabet: &[u8]) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(alphabet[usize::try_from(state >> 33).unwrap_or(0) % alphabet.len()])
        })
        .collect()
}

pub(crate) const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const HEX: &[u8] = b"0123456789abcdef";
pub(crate) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(crate) const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token with GitHub's checksum: CRC-32 of the 30 random characters in base 62.
pub(crate) fn github_token() -> String {
    let random = noise(5, 30, ALNUM);
    format!("gh{}_{random}{}", "p", crc62(&random))
}

pub(crate) fn crc62(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = !0_u32;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut value = !crc;
    let mut sum = [b'0'; 6];
    for slot in sum.iter_mut().rev() {
        *slot = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    String::from_utf8(sum.to_vec()).expect("digits are ASCII")
}

pub(crate) fn vendor_shapes() -> Vec<(&'static str, String)> {
    let random = |seed, len| noise(seed, len, ALNUM);
    vec![
        ("anthropic-key", format!("sk-{}-api03-{}AA", "ant", random(1, 93))),
        ("anthropic-key", format!("sk-{}-oat01-{}", "ant", random(2, 80))),
        ("openai-key", format!("sk-{}-{}", "proj", random(3, 120))),
        ("openai-key", format!("s{}-{}", "k", random(4, 48))),
        ("github-token", github_token()),
        ("github-pat", format!("github_{}_{}_{}", "pat", random(6, 22), random(7, 59))),
        ("gitlab-token", format!("gl{}-{}", "pat", random(8, 20))),
        ("aws-key-id", format!("AK{}{}", "IA", noise(9, 16, BASE32))),
        ("aws-key-id", format!("AS{}{}", "IA", noise(10, 16, BASE32))),
        ("google-key", format!("AI{}{}", "za", random(11, 35))),
        ("slack-token", format!("xox{}-{}-{}", "b", noise(12, 12, b"0123456789"), random(13, 24))),
        ("npm-token", {
            let body = random(14, 30);
            format!("np{}_{body}{}", "m", crc62(&body))
        }),
        ("pypi-token", format!("py{}-{}", "pi", random(15, 120))),
        ("stripe-key", format!("sk_{}_{}", "live", random(16, 24))),
        ("stripe-key", format!("rk_{}_{}", "live", random(17, 24))),
        ("huggingface-token", format!("h{}_{}", "f", noise(18, 34, LETTERS))),
        ("jwt", jwt()),
    ]
}

pub(crate) fn jwt() -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        part("{\"alg\":\"HS256\"}"),
        part("{\"sub\":\"1234567890\"}"),
        noise(19, 43, ALNUM)
    )
}

pub(crate) fn harmless() -> Vec<String> {
    let image = STANDARD.encode(noise(20, 3000, ALNUM));
    vec![
        format!("commit {}\nAuthor: A <a@example.org>", noise(21, 40, HEX)),
        "id: 550e8400-e29b-41d4-a716-446655440000".into(),
        format!("\"nextPageToken\": \"{}\"", noise(25, 24, ALNUM)),
        format!("sec-websocket-key: {}==", noise(26, 22, ALNUM)),
        format!("\"key\":\"users/816/avatar-{}.png\"", noise(27, 20, HEX)),
        "main.(server).getSecret(0xc000315fc7, 0x389b4c3a)".into(),
        "The secret stays in the keychain; the key is derived by HKDF-SHA256.".into(),
        format!("checksum = \"{}\"", noise(22, 64, HEX)),
        format!("\"integrity\": \"sha512-{}==\",", noise(23, 86, ALNUM)),
        format!("<img src=\"data:image/png;base64,{image}\">"),
        "export ANTHROPIC_API_KEY=sk-ant-api03-your-key-here-xxxxxxxxxxxxxxxxxxxxx".into(),
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE".into(),
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".into(),
        "Authorization: Bearer <token>, or Authorization: Bearer $TOKEN".into(),
        "postgres://user:password@localhost/db and https://${USER}:${PASS}@host/".into(),
        "the bearer authentication-mechanism-described above".into(),
        "grep -r -- '-----BEGIN RSA PRIVATE KEY-----' .".into(),
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----".into(),
        "class=\"sk-fading-circle sk-cube-grid\" task-manager-with-a-very-long-name-indeed".into(),
        "http://example.org:8080/a@b see http://[::1]:80/ and git@github.com:a/b.git".into(),
        "git+ssh://git@github.com/a/b.git#semver:^1.0".into(),
        "[REDACTED:github-token:3f9a] and password=[REDACTED:x:0000]".into(),
        "https://user:[REDACTED:mine:12ab]@host/".into(),
    ]
}

/// The encodings in which a known value must be found, by name.
pub(crate) fn encodings(value: &str) -> Vec<(String, String)> {
    let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
    let percent = |keep: &str| -> String {
        value
            .bytes()
            .map(|b| match char::from(b) {
                c if c.is_ascii_alphanumeric() || keep.contains(c) => c.to_string(),
                _ => format!("%{b:02X}"),
            })
            .collect()
    };
    let json = serde_json::to_string(value).expect("a string");
    let mut all = vec![
        ("verbatim".into(), value.into()),
        ("upper case".into(), value.to_ascii_uppercase()),
        ("lower case".into(), value.to_ascii_lowercase()),
        ("hex upper".into(), hex.to_uppercase()),
        ("hex".into(), hex),
        ("url".into(), percent("-._~")),
        ("component".into(), percent("-._~!*'()")),
        ("every byte".into(), value.bytes().map(|b| format!("%{b:02X}")).collect()),
        ("json".into(), json[1..json.len() - 1].to_owned()),
        (
            "json in json".into(),
            serde_json::to_string(&json)
                .expect("a string")
                .replace("\\\"\"", "")
                .replace("\"\\\"", ""),
        ),
        ("unicode".into(), value.encode_utf16().map(|u| format!("\\u{u:04x}")).collect()),
        (
            "html".into(),
            value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;"),
        ),
        ("reversed".into(), value.chars().rev().collect()),
    ];
    for before in ["", "u", "us", "usr:"] {
        for after in ["", "z", "zz"] {
            let blob = format!("{before}{value}{after}");
            all.push((format!("base64 {before}|{after}"), STANDARD.encode(&blob)));
            all.push((format!("base64url {before}|{after}"), URL_SAFE_NO_PAD.encode(&blob)));
        }
    }
    all
}
