//! What did the browser ask, and what did it say of itself? What has two readings has none.

use bartizan_egress::Asked;

/// A request that had one reading.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) post: bool,
    /// The path's parts, decoded, without empty ones.
    pub(super) path: Vec<String>,
    pub(super) host: Option<String>,
    /// Where a form was sent from; empty when it was said twice.
    pub(super) origin: Option<String>,
    /// How the page it was sent from is related to us; empty when it was said twice.
    pub(super) site: Option<String>,
    cookies: String,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

impl Request {
    /// Takes a request apart; `None` when something in it is no text, or of a kind that no form of ours is.
    pub(super) fn read(asked: &Asked) -> Option<Self> {
        let said = |name: &str| asked.has(name).then(|| asked.field(name).unwrap_or("").to_owned());
        let form = if asked.post {
            said("content-type").filter(|kind| kind.eq_ignore_ascii_case(FORM))?;
            pairs(std::str::from_utf8(&asked.body).ok()?)?
        } else {
            Vec::new()
        };
        let parts = asked.path.split('/').filter(|part| !part.is_empty());
        Some(Self {
            post: asked.post,
            path: parts.map(decode).collect::<Option<_>>()?,
            host: asked.field("host").map(str::to_owned),
            origin: said("origin"),
            site: said("sec-fetch-site"),
            cookies: said("cookie").unwrap_or_default(),
            query: pairs(&asked.query)?,
            form,
        })
    }

    /// A value of the query; empty counts as none.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A number of the query; none, or one that is none, is 0.
    pub(super) fn number(&self, name: &str) -> usize {
        self.asked(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// A value of the form; empty counts as none.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        find(&self.form, name)
    }

    /// A cookie's value, if it was sent once.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        let mut found = pairs.filter(|(known, _)| *known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = pairs.iter().filter(|(known, _)| known == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value.trim()).filter(|value| !value.is_empty()),
        _ => None,
    }
}

/// The pairs of a query or a form.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
    };
    parts.map(pair).collect()
}

/// Percent-decoded; `None` when that is no text.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from((high << 4) | low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

const FORM: &str = "application/x-www-form-urlencoded";

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(kind: &str, body: &str) -> Option<Request> {
        let mut asked = Asked::get("/questions/a%2Fb", &[("content-type", kind)]);
        (asked.post, asked.body) = (true, body.as_bytes().to_vec());
        Request::read(&asked)
    }

    #[test]
    fn a_form_is_read_and_what_is_none_is_not() {
        let request = posted(FORM, "say=approve&reason=a%20b+c%26&empty=").unwrap();
        assert_eq!(request.path, ["questions", "a/b"], "an escaped slash parts nothing");
        assert_eq!(request.given("say"), Some("approve"));
        assert_eq!(request.given("reason"), Some("a b c&"));
        assert_eq!((request.given("empty"), request.given("none")), (None, None));
        assert!(posted("text/plain", "say=approve").is_none());
        assert!(posted("multipart/form-data", "").is_none());
        for broken in ["a=%", "a=%f", "a=%zz", "a=%ff", "%ff=1"] {
            assert!(posted(FORM, broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn what_is_said_twice_is_not_said() {
        let request = posted(FORM, "say=approve&say=deny").unwrap();
        assert_eq!(request.given("say"), None);
        let twice = [("cookie", "a=1; b=2; a=3"), ("origin", "x"), ("origin", "y"), ("host", "h")];
        let request = Request::read(&Asked::get("/", &twice)).unwrap();
        assert_eq!((request.cookie("a"), request.cookie("b")), (None, Some("2")));
        assert_eq!(request.origin.as_deref(), Some(""));
        assert_eq!(request.host.as_deref(), Some("h"));
    }
}
