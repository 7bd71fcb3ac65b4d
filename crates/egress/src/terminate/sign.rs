//! How does a request that a program signed with a placeholder leave signed with the real keys?
//!
//! What the program's signature names (region and service) is taken from it; everything else is signed anew over
//! the request as it is sent. The program's own digest of the body is taken over where it sends one: AWS checks
//! it, so a wrong one harms the program alone.

use super::body::{BodyFlaw, Payload};
use super::request::HttpRequest;
use crate::refuse::{Refusal, Status};
use crate::sigv4::{self, Keys, Scope};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::HeaderMap;

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
        sigv4::put(headers, CONTENT_DIGEST, &digest).map_err(|_| unsignable())?;
    }
    let line = (request.method(), request.sent_path(), query.unwrap_or_default());
    sigv4::seal(keys, scope, line, headers, &digest).map_err(|_| unsignable())?;
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
