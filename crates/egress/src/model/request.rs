//! What of a request may the judge see, and the upstream get?

use crate::refuse::{Refusal, Status};
use crate::terminate::names_credential;
use hyper::header::{HeaderMap, HeaderName};

/// A request as the judge sees it: without body and without any credential.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) content_length: Option<u64>,
}

impl ModelRequest {
    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The canonical path; it begins with `/v1/`, `/v1beta/` or `/model/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, as sent.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// A header that is forwarded, by its lower-case name: such as `x-claude-code-agent-id`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Every value of a header that is forwarded; one that is no text reads as empty.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
    }

    /// The announced length of the body in bytes.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }
}

/// The path, when it has one reading only and lies under `/v1/`, Google's `/v1beta/`, or Amazon's `/model/`.
pub(super) fn canonical(path: &str) -> Result<String, Refusal> {
    // No `%`, `;` or `\`: the API needs none, and each is read differently by some server.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,=/".contains(&b);
    let versions = ["/v1/", "/v1beta/"];
    let rest = versions.iter().find_map(|version| path.strip_prefix(version)).map(str::to_owned);
    // A model of Amazon's may be named by what has `:` and `/` in it; such a name is held to what it is when it is unescaped.
    let named =
        || path.strip_prefix(AMAZON).map(|rest| rest.replace("%3A", ":").replace("%2F", "/"));
    let rest = rest.or_else(named).unwrap_or_default();
    let mut segments = rest.split('/');
    if path.len() <= 1024
        && rest.bytes().all(plain)
        && segments.all(|segment| !segment.is_empty() && segment.bytes().any(|b| b != b'.'))
    {
        Ok(path.to_owned())
    } else {
        Err(bad_path())
    }
}

pub(super) fn bad_path() -> Refusal {
    Refusal::new(
        Status::Forbidden,
        "path-refused",
        "only canonical paths under /v1/ pass to the model API",
    )
}

/// Removes every way to bring a credential, to override the method, or to tell who is behind us; in either spelling, since some
/// servers take `_` for `-`. The ids of a client's sessions stay: they are no credentials of the API's.
pub(super) fn strip_credentials(headers: &mut HeaderMap) {
    let stripped = |name: &&HeaderName| {
        let dashed = name.as_str().replace('_', "-");
        names_credential(&dashed)
            || STRIPPED.contains(&dashed.as_str())
            || STRIPPED_PREFIXES.iter().any(|prefix| dashed.starts_with(prefix))
    };
    let stripped: Vec<HeaderName> = headers.keys().filter(stripped).cloned().collect();
    for name in stripped {
        headers.remove(name);
    }
}

/// What the paths of Amazon Bedrock begin with.
const AMAZON: &str = "/model/";
/// `accept-encoding` too: what comes back must be readable by the filter. `expect` is answered by us.
const STRIPPED: [&str; 7] =
    ["accept-encoding", "expect", "forwarded", "host", "via", "x-method-override", "x-real-ip"];
const STRIPPED_PREFIXES: [&str; 2] = ["x-forwarded-", "x-http-method"];

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn only_paths_with_one_reading_pass() {
        for path in [
            "/v1/messages",
            "/v1/messages/count_tokens",
            "/v1/models/claude-x:1",
            "/v1beta/models/gemini-x:streamGenerateContent",
            "/model/eu.anthropic.claude-x-v1:0/invoke",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx/invoke",
        ] {
            assert!(canonical(path).is_ok(), "{path}");
        }
        for path in [
            "/",
            "/v1",
            "/v1/",
            "/v2/messages",
            "/v1beta",
            "/v1beta/../v1/a",
            "/v1beta2/models",
            "/v1/../admin",
            "/v1/./a",
            "/v1//a",
            "/v1/a/",
            "/v1/%2e%2e/a",
            "/v1/a%2fb",
            "/v1/a;b",
            "/v1/a\\b",
            "/v1/...",
            "/V1/messages",
            "/model",
            "/model/",
            "/model//invoke",
            "/model/../v1/invoke",
            "/model/%2e%2e/invoke",
            "/model/a%2F..%2Fb/invoke",
            "/model/%2Fa/invoke",
            "/model/a%2fb/invoke",
            "/model/a%252Fb/invoke",
            "/model/a%00/invoke",
            "/v1/a%3Ab",
            "//v1/messages",
        ] {
            assert_eq!(canonical(path).unwrap_err().code(), "path-refused", "{path}");
        }
    }

    #[test]
    fn no_credential_of_the_client_remains() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "x-api-key",
            "cookie",
            "proxy-authorization",
            "x-amz-security-token",
            "x-goog-api-key",
            "x-http-method-override",
            "api-key",
            "cookie2",
            "x_api_key",
            "x-gateway-api-key",
            "x-auth-token",
            "x-session-token",
            "x_http_method",
            "x_forwarded_for",
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("v"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("w"));
        }
        let kept = [
            "anthropic-version",
            "x-claude-code-agent-id",
            "x-claude-code-session-id",
            "x-stainless-timeout",
        ];
        for name in kept {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        strip_credentials(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, kept);
    }
}
