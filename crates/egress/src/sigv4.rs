//! How does AWS know whose request it is? By Signature Version 4 over method, path, query, headers and body.
//!
//! Source: AWS General Reference, "Signature Version 4 signing process"; the examples there are the tests here.

use crate::secret::SecretValue;
use ring::{digest, hmac};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// The keys of one identity.
pub(crate) struct Keys {
    pub(crate) id: Arc<SecretValue>,
    pub(crate) secret: Arc<SecretValue>,
    /// With keys that end by themselves.
    pub(crate) token: Option<Arc<SecretValue>>,
}

/// For whom a signature is good: one region of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) region: String,
    pub(crate) service: String,
}

/// What is signed. Headers are in lower case and sorted, their values trimmed.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// As it is sent.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a [(String, Zeroizing<String>)],
    /// The digest of the body in hex, or the word that stands for it.
    pub(crate) body: &'a str,
}

impl Scope {
    /// The scope that a client's own signature names:
    /// `AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, …`.
    pub(crate) fn of(authorization: &str) -> Option<Self> {
        let parameters = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let credential =
            parameters.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
        let mut words = credential.rsplit('/');
        if words.next() != Some("aws4_request") {
            return None;
        }
        let (service, region) = (words.next()?, words.next()?);
        let tame = |word: &str| {
            (1..=64).contains(&word.len())
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        (tame(service) && tame(region))
            .then(|| Self { region: region.to_owned(), service: service.to_owned() })
    }
}

/// The value of `authorization` for a request at `stamp` (`20150830T123600Z`).
pub(crate) fn authorization(
    keys: &Keys,
    scope: &Scope,
    stamp: &str,
    signed: &Signed<'_>,
) -> Zeroizing<String> {
    let day = stamp.get(..8).unwrap_or_default();
    let Scope { region, service } = scope;
    let place = format!("{day}/{region}/{service}/aws4_request");
    let canonical = canonical(service, signed);
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{place}\n{}", hash(canonical.as_bytes()));
    let first = keys.secret.danger_expose(|secret| Zeroizing::new([b"AWS4", secret].concat()));
    let mut key = mac(&first, day.as_bytes());
    for part in [region.as_str(), service, "aws4_request", &text] {
        key = mac(key.as_ref(), part.as_bytes());
    }
    let id = keys.id.text().unwrap_or_default();
    let names = names(signed);
    Zeroizing::new(format!(
        "AWS4-HMAC-SHA256 Credential={id}/{place}, SignedHeaders={names}, Signature={}",
        hex(key.as_ref())
    ))
}

fn canonical(service: &str, signed: &Signed<'_>) -> Zeroizing<String> {
    // S3 alone takes the path as it is; the others encode once more what is encoded.
    let path = encoded(&decoded(signed.path), true);
    let path = if service == "s3" { path } else { encoded(path.as_bytes(), true) };
    let path = if path.is_empty() { "/" } else { &path };
    let mut out = Zeroizing::new(String::new());
    _ = write!(out, "{}\n{path}\n{}\n", signed.method, query(signed.query));
    for (name, value) in signed.headers {
        _ = writeln!(out, "{name}:{}", value.as_str());
    }
    _ = write!(out, "\n{}\n{}", names(signed), signed.body);
    out
}

fn names(signed: &Signed<'_>) -> String {
    let names: Vec<&str> = signed.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.join(";")
}

fn query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(&decoded(name), false), encoded(&decoded(value), false))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        if let (b'%', [high, low, after @ ..]) = (byte, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
            && let Ok(byte) = u8::try_from(high << 4 | low)
        {
            out.push(byte);
            rest = after;
        } else {
            out.push(*byte);
        }
    }
    out
}

fn encoded(bytes: &[u8], keep_slash: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// SHA-256 in hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        _ = write!(out, "{byte:02x}");
    }
    out
}

/// The time now as AWS writes it.
pub(crate) fn now() -> String {
    stamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Seconds since 1970 as `YYYYMMDDTHHMMSSZ`, by the days-to-civil algorithm of Howard Hinnant.
fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str, secret: &str) -> Keys {
        let value = |text: &str| Arc::new(SecretValue::new(text.as_bytes().to_vec()));
        Keys { id: value(id), secret: value(secret), token: None }
    }

    fn headers(list: &[(&str, &str)]) -> Vec<(String, Zeroizing<String>)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned())))
            .collect()
    }

    fn scope(service: &str) -> Scope {
        Scope { region: "us-east-1".to_owned(), service: service.to_owned() }
    }

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The example of the General Reference: IAM `ListUsers`.
    #[test]
    fn the_example_of_the_reference_is_signed_alike() {
        let headers = headers(&[
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ]);
        let signed = Signed {
            method: "GET",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: &headers,
            body: EMPTY,
        };
        let keys = keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let made = authorization(&keys, &scope("iam"), "20150830T123600Z", &signed);
        assert!(
            made.ends_with("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
            "{}",
            *made
        );
        assert!(made.contains("SignedHeaders=content-type;host;x-amz-date,"));
    }

    /// The examples of the S3 reference: a ranged GET, a sub-resource, a list.
    #[test]
    fn the_examples_of_s3_are_signed_alike() {
        let keys = keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let all = headers(&[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
        ]);
        let plain: Vec<_> = all.iter().filter(|(name, _)| name != "range").cloned().collect();
        for (path, query, headers, signature) in [
            (
                "/test.txt",
                "",
                &all,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "/",
                "lifecycle",
                &plain,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "/",
                "max-keys=2&prefix=J",
                &plain,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let signed = Signed { method: "GET", path, query, headers, body: EMPTY };
            let made = authorization(&keys, &scope("s3"), "20130524T000000Z", &signed);
            assert!(made.ends_with(signature), "{path}?{query}: {}", *made);
        }
    }

    #[test]
    fn a_clients_scope_is_read_and_nothing_else_of_it() {
        let own = "AWS4-HMAC-SHA256 Credential=AKIA/x/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00";
        assert_eq!(
            Scope::of(own),
            Some(Scope { region: "eu-west-1".to_owned(), service: "s3".to_owned() })
        );
        for wrong in [
            "",
            "Bearer x",
            "AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/s3/aws5_request",
            "AWS4-HMAC-SHA256 Credential=A/20260101/eu west/s3/aws4_request",
            "AWS4-HMAC-SHA256 Credential=A/20260101//s3/aws4_request",
            "AWS4-ECDSA-P256-SHA256 Credential=A/20260101/s3/aws4_request",
        ] {
            assert_eq!(Scope::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn time_is_written_as_aws_does() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
    }

    #[test]
    fn a_path_has_one_encoding_whatever_it_came_in() {
        let path = |text: &str| encoded(&decoded(text), true);
        assert_eq!(path("/a b/ä%2fx"), "/a%20b/%C3%A4/x");
        assert_eq!(path("/a%20b"), "/a%20b");
        assert_eq!(query("b=2&a=%20x&a=&c"), "a=&a=%20x&b=2&c=");
    }
}
