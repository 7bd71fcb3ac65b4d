//! Which credentials did the box send along? On a bound host, none that it could have brought passes.

use crate::refuse::{Refusal, Status};
use crate::sigv4::Scope;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;

/// Takes every credential of the box out of a request to a bound host, and what would make its answer one
/// that cannot be looked into.
///
/// Where requests are signed for AWS, its own headers stay, since they say what is asked for; for which region and
/// service the program signed is remembered with the request.
pub(super) fn strip(
    parts: &mut Parts,
    query: Option<&str>,
    signs: bool,
) -> Result<Option<String>, Refusal> {
    let half_signed = |name: &str| name.starts_with("x_amz_") || name.starts_with("x_goog_s");
    if signs {
        let own = parts.headers.get(header::AUTHORIZATION).and_then(|own| own.to_str().ok());
        if let Some(scope) = own.and_then(Scope::of) {
            parts.extensions.insert(scope);
        }
    }
    let headers = &mut parts.headers;
    let stripped: Vec<HeaderName> =
        headers.keys().filter(|name| is_taken_out(name.as_str(), signs)).cloned().collect();
    for name in stripped {
        headers.remove(name);
    }
    // A value could be pieced together from parts that each are no value. A signature's key is not sent, so
    // nobody could echo it, and programs fetch from S3 by ranges without looking at what they get.
    if !signs {
        for name in [header::RANGE, header::IF_RANGE] {
            headers.remove(name);
        }
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let Some(query) = query else { return Ok(None) };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        // Some servers end a parameter at a semicolon too.
        let names = || pair.split(';').map(parameter);
        if names().any(|name| half_signed(&name)) {
            return Err(Refusal::new(
                Status::Forbidden,
                "signed-url-refused",
                "a signed URL carries a credential of its own, and this host has one already",
            ));
        }
        if !names().any(|name| QUERY_CREDENTIALS.contains(&name.as_str())) {
            kept.push(pair);
        }
    }
    let kept = kept.join("&");
    Ok((!kept.is_empty()).then_some(kept))
}

/// Whether a header by this name stays behind on a bound host; where requests are signed for AWS, its own headers do not.
pub(super) fn is_taken_out(name: &str, signs: bool) -> bool {
    let asks = signs
        && name.starts_with("x-amz-")
        && !matches!(name, "x-amz-security-token" | "x-amz-date");
    is_credential(name) && !asks
}

/// Whether a header by this name commonly carries a credential, be it a session's.
fn is_credential(name: &str) -> bool {
    names_credential(name) || name.contains("session")
}

/// Whether a header by this name says of itself that it carries a credential. A server that hands headers on as variables reads
/// `x_api_key` as `x-api-key`.
pub(crate) fn names_credential(name: &str) -> bool {
    let name = name.replace('_', "-");
    name.starts_with("proxy-")
        || HEADER_CREDENTIALS.iter().any(|word| name.contains(word))
        || ["x-amz-", "x-goog-", "x-auth"].iter().any(|start| name.starts_with(start))
}

/// The name of a parameter as the most forgiving server takes it: PHP's, which reads `.access token[]` so too.
pub(super) fn parameter(pair: &str) -> String {
    let name = unescaped(pair.split('=').next().unwrap_or_default());
    let name = name.trim_start_matches([' ', '+']);
    let name = name.split('[').next().unwrap_or_default();
    name.replace(['-', '.', ' ', '+'], "_")
}

fn unescaped(name: &str) -> String {
    let mut out = Vec::new();
    let mut rest = name.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let digit =
            |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if let (b'%', [high, low, after @ ..]) = (byte, after)
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*byte);
        }
    }
    String::from_utf8_lossy(&out).to_ascii_lowercase()
}

/// Words in the names of headers by which services take credentials.
const HEADER_CREDENTIALS: [&str; 15] = [
    "access-key",
    "account-key",
    "api-key",
    "apikey",
    "application-key",
    "assertion",
    "authorization",
    "cookie",
    "credential",
    "functions-key",
    "jwt",
    "password",
    "secret",
    "subscription-key",
    "token",
];
/// Parameters by which services take credentials in a URL, in [`parameter`]'s reading.
const QUERY_CREDENTIALS: [&str; 32] = [
    "access_key",
    "access_token",
    "accesstoken",
    "api_key",
    "api_token",
    "apikey",
    "app_key",
    "app_secret",
    "auth",
    "auth_token",
    "authorization",
    "bearer_token",
    "client_secret",
    "hapikey",
    "id_token",
    "job_token",
    "jwt",
    "key",
    "oauth_token",
    "passwd",
    "password",
    "personal_access_token",
    "private_token",
    "pwd",
    "secret",
    "session_token",
    "sig",
    "signature",
    "subscription_key",
    "token",
    "user_token",
    "x_api_key",
];

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn no_credential_of_the_box_remains() {
        let (mut parts, ()) = Request::new(()).into_parts();
        let headers = &mut parts.headers;
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "private-token",
            "x-amz-security-token",
            "x-goog-api-key",
            "x-auth-token",
            "x-auth-key",
            "x_api_key",
            "private_token",
            "ocp-apim-subscription-key",
            "cf-access-jwt-assertion",
            "range",
        ] {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("1"));
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("2"));
        }
        headers.insert("accept", HeaderValue::from_static("*/*"));
        headers.insert("idempotency-key", HeaderValue::from_static("1"));
        let query = "a=1&access%5Ftoken=x&KEY=y&b=2&token&page_token=3;4&c=5;api-key=z&access.token=x&+access_token[]=x";
        let kept = strip(&mut parts, Some(query), false).unwrap();
        assert_eq!(kept.as_deref(), Some("a=1&b=2&page_token=3;4"));
        let mut left: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "accept-encoding", "idempotency-key"]);
        let signed = strip(&mut parts, Some("X-Amz-Signature=1"), true).unwrap_err();
        assert_eq!(signed.code(), "signed-url-refused");
    }

    #[test]
    fn what_aws_is_asked_stays_and_what_proves_who_asks_goes() {
        let (mut parts, ()) = Request::new(()).into_parts();
        let own =
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/s3/aws4_request, Signature=0";
        for (name, value) in [
            ("authorization", own),
            ("x-amz-security-token", "mine"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-target", "Table.Get"),
            ("x-amz-meta-session", "1"),
            ("cookie", "mine"),
        ] {
            parts.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut parts, None, true).unwrap();
        let mut kept: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["accept-encoding", "x-amz-meta-session", "x-amz-target"]);
        assert_eq!(parts.extensions.get::<Scope>().unwrap().service, "s3");
    }
}
