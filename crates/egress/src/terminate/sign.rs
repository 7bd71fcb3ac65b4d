//! How does a request that a program signed with a placeholder leave signed with the real keys?
//!
//! What the program's signature names (region and service) is taken from it; everything else is signed anew over
//! the request as it is sent. The program's own digest of the body is taken over where it sends one: AWS checks
//! it, so a wrong one harms the program alone.

use super::body::{BodyFlaw, Payload};
use super::request::HttpRequest;
use crate::refuse::{Refusal, Status};
use crate::sigv4::{self, Keys, Scope, Signed};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// Signs a request whose credentials have been taken out, and gives its body back.
pub(super) async fn sign(
    keys: &Keys,
    scope: Option<&Scope>,
    (request, query): (&HttpRequest, Option<&str>),
    headers: &mut HeaderMap,
    body: Payload,
) -> Result<Payload, Refusal> {
    let scope = scope.ok_or_else(|| {
        let text = "this host takes requests that are signed for AWS; let the program sign with the keys it has";
        Refusal::new(Status::Forbidden, "signature-missing", text)
    })?;
    let (digest, body) = if let Some(digest) = announced(headers)? {
        (digest, body)
    } else {
        let whole = Limited::new(body, LONGEST).collect().await.map_err(|error| {
            error.downcast::<BodyFlaw>().map_or_else(|_| too_long(), |flaw| flaw.refusal())
        })?;
        let bytes = whole.to_bytes();
        (sigv4::hash(&bytes), Payload::Whole(Full::new(bytes)))
    };
    if scope.service == "s3" {
        set(headers, CONTENT_DIGEST, &digest)?;
    }
    let stamp = sigv4::now();
    set(headers, "x-amz-date", &stamp)?;
    if let Some(token) = &keys.token {
        set(headers, "x-amz-security-token", token.text().unwrap_or_default())?;
    }
    let list = signed_headers(headers)?;
    let signed = Signed {
        method: request.method(),
        path: request.sent_path(),
        query: query.unwrap_or_default(),
        headers: &list,
        body: &digest,
    };
    let proof = sigv4::authorization(keys, scope, &stamp, &signed);
    set(headers, header::AUTHORIZATION.as_str(), &proof)?;
    Ok(body)
}

/// The digest that the program sends along, or the word in its place.
fn announced(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(CONTENT_DIGEST) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest || matches!(text, "UNSIGNED-PAYLOAD" | "STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
        return Ok(Some(text.to_owned()));
    }
    let text = "each piece of this body is signed with the program's own key, which is a placeholder; let it send the body unsigned";
    Err(Refusal::new(Status::Forbidden, "signed-chunks", text))
}

/// Host, content type and everything of AWS's own, sorted.
fn signed_headers(headers: &HeaderMap) -> Result<Vec<(String, Zeroizing<String>)>, Refusal> {
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
            let value = value.to_str().map_err(|_| unsignable())?;
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

fn set(headers: &mut HeaderMap, name: &'static str, text: &str) -> Result<(), Refusal> {
    let mut value = HeaderValue::from_str(text).map_err(|_| unsignable())?;
    value.set_sensitive(true);
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

fn unsignable() -> Refusal {
    let text = "a header of AWS's own has characters that cannot be signed";
    Refusal::new(Status::BadRequest, "malformed-request", text)
}

fn too_long() -> Refusal {
    let text = "a body without a digest of its own is signed whole, and at most 16 MiB of it";
    Refusal::new(Status::BadRequest, "too-long-to-sign", text)
}

const CONTENT_DIGEST: &str = "x-amz-content-sha256";
const LONGEST: usize = 16 << 20;
