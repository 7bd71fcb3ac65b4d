//! Is this request meant for us, and from no page of somebody else's? A page that was lured to our address names another
//! `Host`, or an `Origin` that is not ours (DNS rebinding); both are looked at always, token or not.

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::uri::{Authority, Uri};

/// Under which names we are reached, and from which pages.
#[derive(Debug, Clone, Default)]
pub struct Names {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Names {
    /// Hosts as `name` (any port) or `name:port`, origins as `scheme://host[:port]`; both to the letter, but for case.
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        let lower = |list: &[String]| list.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins) }
    }

    /// Adds the names that this machine has for itself.
    #[must_use = "the names are returned, not changed in place"]
    pub fn and_loopback(mut self) -> Self {
        self.hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        self
    }

    /// Whether a request with these headers is for us; else the code that says why not.
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), &'static str> {
        let mut named = headers.get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else { return Err("host-refused") };
        let host = host.to_str().map_err(|_| "host-refused")?.to_ascii_lowercase();
        // The absolute form may not say one thing and the header another.
        if uri.authority().is_some_and(|said| !said.as_str().eq_ignore_ascii_case(&host)) {
            return Err("host-refused");
        }
        if !self.knows(&host) {
            return Err("host-refused");
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = origin.to_str().map(str::to_ascii_lowercase).unwrap_or_default();
        let own =
            ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(&host));
        if origins.next().is_some() || !(own || self.origins.contains(&origin)) {
            return Err("origin-refused");
        }
        Ok(())
    }

    fn knows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        self.hosts.iter().any(|known| known == host || known == authority.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn check(names: &Names, host: &str, origin: Option<&str>) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        names.check(&headers, &Uri::from_static("/mcp"))
    }

    #[test]
    fn only_our_own_names_and_pages_pass() {
        let page = "https://app.example".to_owned();
        let names =
            Names::new(&["mcp.example:8443".to_owned(), "Gate.example".to_owned()], &[page])
                .and_loopback();
        for host in [
            "localhost",
            "LOCALHOST:3000",
            "127.0.0.1:1",
            "[::1]:9",
            "mcp.example:8443",
            "gate.example:1",
        ] {
            assert_eq!(check(&names, host, None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "mcp.example",
            "mcp.example:80",
            "localhost.evil.example",
            "localhost@evil.example",
            "127.0.0.1.evil.example",
            "",
            "127.1",
            "2130706433",
            "::1",
            "gate.example.",
            "gate.example/evil",
        ] {
            assert_eq!(check(&names, host, None), Err("host-refused"), "{host}");
        }
        for origin in [
            "http://localhost:3000",
            "https://localhost:3000",
            "https://app.example",
            "HTTPS://App.example",
        ] {
            assert_eq!(check(&names, "localhost:3000", Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "http://evil.example",
            "null",
            "",
            "http://localhost",
            "http://localhost:3001",
            "https://app.example.evil",
            "file://",
            "http://localhost:3000/",
        ] {
            assert_eq!(
                check(&names, "localhost:3000", Some(origin)),
                Err("origin-refused"),
                "{origin}"
            );
        }
    }

    #[test]
    fn two_hosts_or_two_origins_are_none() {
        let names = Names::default().and_loopback();
        let uri = Uri::from_static("/mcp");
        let mut headers = HeaderMap::new();
        assert_eq!(names.check(&headers, &uri), Err("host-refused"));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        headers.append(ORIGIN, HeaderValue::from_static("http://localhost"));
        assert_eq!(names.check(&headers, &uri), Ok(()));
        let absolute = Uri::from_static("http://evil.example/mcp");
        assert_eq!(names.check(&headers, &absolute), Err("host-refused"));
        headers.append(ORIGIN, HeaderValue::from_static("http://localhost"));
        assert_eq!(names.check(&headers, &uri), Err("origin-refused"));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert_eq!(names.check(&headers, &uri), Err("host-refused"));
    }
}
