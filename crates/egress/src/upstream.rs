//! Where does the model's API live?

use crate::head;
use crate::http::host_value;
use crate::name::HostPort;
use thiserror::Error;

/// The configured base URL of the model's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    secure: bool,
    target: HostPort,
    prefix: String,
}

/// Why a base URL is unacceptable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpstreamError {
    /// It would send the key in the clear.
    #[error("`{0}` would carry the key unencrypted; http is for this machine only, use https")]
    Insecure(HostPort),
    /// It is no base URL.
    #[error("the base URL of the model API is not usable: {0}")]
    Malformed(&'static str),
}

impl Upstream {
    /// Parses `https://host[:port][/prefix]`, or `http://` for a loopback address and `localhost`.
    pub fn parse(base_url: &str) -> Result<Self, UpstreamError> {
        let bad = UpstreamError::Malformed;
        let (scheme, rest) = base_url.split_once("://").ok_or(bad("it has no scheme"))?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(bad("the scheme is neither https nor http")),
        };
        if rest.contains(['?', '#', '%', '\\']) || !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("it has a query, a fragment, an escape or a space"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(bad("it has a user name"));
        }
        let target = head::authority(authority, if secure { 443 } else { 80 })
            .map_err(|_| bad("the host is malformed"))?;
        let path = path.trim_end_matches('/');
        if !path.is_empty() && path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(bad("the path is not canonical"));
        }
        if !secure && !is_loopback(&target) {
            return Err(UpstreamError::Insecure(target));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { secure, target, prefix })
    }

    /// The host and port.
    pub fn target(&self) -> &HostPort {
        &self.target
    }

    /// Whether it is https.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn host_value(&self) -> String {
        host_value(&self.target, if self.secure { 443 } else { 80 })
    }
}

pub(crate) fn is_loopback(target: &HostPort) -> bool {
    let host = target.host();
    host.name() == Some("localhost") || host.address().is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_read_whole() {
        let upstream = Upstream::parse("https://gateway.corp.example/anthropic/").unwrap();
        assert_eq!(
            (upstream.target().to_string().as_str(), upstream.prefix()),
            ("gateway.corp.example:443", "/anthropic")
        );
        assert_eq!(upstream.host_value(), "gateway.corp.example");
        assert_eq!(
            Upstream::parse("http://127.0.0.1:8080").unwrap().host_value(),
            "127.0.0.1:8080"
        );
        assert!(Upstream::parse("http://localhost:1").is_ok());
    }

    #[test]
    fn a_key_never_travels_in_the_clear() {
        for url in ["http://api.anthropic.com", "http://10.0.0.1:80", "http://localhost.evil.com"] {
            assert!(matches!(Upstream::parse(url), Err(UpstreamError::Insecure(_))), "{url}");
        }
        for url in [
            "api.anthropic.com",
            "ftp://x.y",
            "https://u:p@x.y",
            "https://x.y/../a",
            "https://x.y/?a",
            "https://x y",
        ] {
            assert!(matches!(Upstream::parse(url), Err(UpstreamError::Malformed(_))), "{url}");
        }
    }
}
