//! How does AWS know whose request it is? By Signature Version 4 over method, path, query, headers and body.
//!
//! Source: AWS General Reference, "Signature Version 4 signing process"; the examples there are the tests here.

use crate::secret::SecretValue;
use crate::when;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use ring::{digest, hmac};
use std::fmt::Write as _;
use std::sync::Arc;
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
    let path = if service == "s3" {
        encoded(&decoded(signed.path), true)
    } else {
        encoded(encoded_once(signed.path).as_bytes(), true)
    };
    let path = if path.is_empty() { "/" } else { &path };
    let mut out = Zeroizing::new(String::new());
    _ = write!(out, "{}\n{path}\n{}\n", signed.method, query(signed.query));
    for (name, value) in signed.headers {
        _ = writeln!(out, "{name}:{}", value.as_str());
    }
    _ = write!(out, "\n{}\n{}", names(signed), signed.body);
    out
}

/// A path whose segments are each encoded in the one way, so that what a service makes of it cannot depend on whether it
/// decodes a path before it encodes it. A `%2F` stays what it is: no end of a segment.
pub(crate) fn encoded_once(path: &str) -> String {
    let segments: Vec<String> =
        path.split('/').map(|segment| encoded(&decoded(segment), false)).collect();
    segments.join("/")
}

/// Signs a request that has `headers` and a body of this digest, for now: the date, the token and the signature are put
/// among the headers.
pub(crate) fn seal(
    keys: &Keys,
    scope: &Scope,
    (method, path, query): (&str, &str, &str),
    headers: &mut HeaderMap,
    body: &str,
) -> Result<(), Unsignable> {
    let stamp = now();
    put(headers, "x-amz-date", &stamp)?;
    if let Some(token) = &keys.token {
        put(headers, "x-amz-security-token", token.text().unwrap_or_default())?;
    }
    let list = listed(headers)?;
    let signed = Signed { method, path, query, headers: &list, body };
    let proof = authorization(keys, scope, &stamp, &signed);
    put(headers, header::AUTHORIZATION.as_str(), &proof)
}

/// A header has characters that cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsignable;

/// Puts a header in that `Debug` does not show.
pub(crate) fn put(
    headers: &mut HeaderMap,
    name: &'static str,
    text: &str,
) -> Result<(), Unsignable> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Unsignable)?;
    value.set_sensitive(true);
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// Host, content type and everything of AWS's own, sorted.
fn listed(headers: &HeaderMap) -> Result<Vec<(String, Zeroizing<String>)>, Unsignable> {
    let mut names: Vec<&HeaderName> = headers
        .keys()
        .filter(|name| {
            **name == header::HOST
                || **name == header::CONTENT_TYPE
                || name.as_str().starts_with("x-amz-")
        })
        .collect();
    names.sort_by_key(|name| name.as_str());
    let mut list = Vec::new();
    for name in names {
        let mut joined = Zeroizing::new(String::new());
        for value in headers.get_all(name) {
            let value = value.to_str().map_err(|_| Unsignable)?;
            if !joined.is_empty() {
                joined.push(',');
            }
            let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
            joined.push_str(&words.join(" "));
        }
        list.push((name.as_str().to_owned(), joined));
    }
    Ok(list)
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
    stamp(when::now())
}

/// Seconds since 1970 as `YYYYMMDDTHHMMSSZ`, by the days-to-civil algorithm of Howard Hinnant.
pub(crate) fn stamp(seconds: u64) -> String {
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
mod tests;
