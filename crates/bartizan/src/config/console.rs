//! Under which address, and with which certificate, do other people reach the console? `[console]`.

use super::check::Flaw;
use super::page::Page;
use super::raw::RawConsole;
use super::serve::host;
use std::path::PathBuf;

/// How other people reach the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Console {
    /// Its name, with the port unless that is 443: as a browser writes it in `Host`.
    pub(crate) host: String,
    /// The certificate and its chain, in PEM.
    pub(crate) tls_cert: PathBuf,
    /// The certificate's private key, in PEM.
    pub(crate) tls_key: PathBuf,
    /// Whether nobody gives an answer of weight there without a passkey.
    pub(crate) require_passkey: bool,
}

/// Reads `[console]`; `None` when something is wrong with it, which the page then says.
pub(super) fn read(page: &mut Page<'_>, raw: &RawConsole) -> Option<Console> {
    let origin = page.take(&raw.origin, |text| origin(text));
    let tls_cert = page.take(&raw.tls_cert, |text| file(text));
    let tls_key = page.take(&raw.tls_key, |text| file(text));
    let require_passkey = raw.require_passkey;
    Some(Console { host: origin?, tls_cert: tls_cert?, tls_key: tls_key?, require_passkey })
}

fn origin(text: &str) -> Result<String, Flaw> {
    let hint = "write what people type, in small letters: \"https://console.example.com:8485\"";
    let flaw = || (format!("`{text}` is no address of a console"), Some(hint.to_owned()));
    let rest = text.strip_prefix("https://").ok_or_else(flaw)?;
    let small = !rest.contains(|c: char| c.is_ascii_uppercase()) && !rest.ends_with(":443");
    if small && host(rest).is_ok() { Ok(rest.to_owned()) } else { Err(flaw()) }
}

fn file(text: &str) -> Result<PathBuf, Flaw> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Ok(path);
    }
    let hint = "write its whole path, such as \"/etc/bartizan/console.pem\"";
    Err((format!("`{text}` is no absolute path"), Some(hint.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_a_browser_makes_of_it() {
        assert_eq!(origin("https://c.example:8485").unwrap(), "c.example:8485");
        assert_eq!(origin("https://c.example").unwrap(), "c.example");
        for odd in [
            "http://c.example",
            "c.example",
            "https://",
            "https://C.example",
            "https://c.example/x",
            "https://c.example:443",
            "https://a@c.example",
        ] {
            assert!(origin(odd).is_err(), "{odd}");
        }
        assert!(file("console.pem").is_err());
    }
}
