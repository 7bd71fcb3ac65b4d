//! Which request does a call become? Host and structure are the configuration's; an argument is a value in it.

use super::input::{Inputs, Values};
use super::template::Template;
use super::{DeclareError, Unfit, encode};
use bartizan_gate::name::{Host, HostPort};
use bartizan_gate::url_path::UrlPath;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// An HTTP request with places in it.
#[derive(Debug, Clone)]
pub struct HttpTool {
    method: String,
    secure: bool,
    target: HostPort,
    path: Vec<Segment>,
    query: Pairs,
    headers: Pairs,
    body: Body,
}

type Pairs = Vec<(String, Template)>;

#[derive(Debug, Clone)]
struct Segment {
    template: Template,
    slashes: bool,
}

/// What a request carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// A form.
    Form(Vec<(String, Template)>),
    /// JSON.
    Json(JsonTemplate),
    /// Nothing.
    None,
}

/// JSON with places in its texts. A text that is one place alone becomes the argument itself, of its own type.
#[derive(Debug, Clone)]
pub enum JsonTemplate {
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(String, Self)>),
    /// A value without places.
    Plain(Value),
    /// A text.
    Text(Template),
}

/// A request as declared.
#[derive(Debug, Clone)]
pub struct HttpParts<'a> {
    /// In capitals.
    pub method: &'a str,
    /// With places in its path.
    pub url: &'a str,
    /// Name and template of each parameter.
    pub query: Vec<(String, Template)>,
    /// Name and template of each header.
    pub headers: Vec<(String, Template)>,
    /// What it carries.
    pub body: Body,
}

/// A request with its arguments in their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// In capitals.
    pub method: String,
    /// Whether it is https.
    pub secure: bool,
    /// Where it goes.
    pub target: HostPort,
    /// The path as it is sent; it has one reading.
    pub path: String,
    /// The query, without `?`.
    pub query: Option<String>,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The content's type, and the content.
    pub body: Option<(&'static str, Vec<u8>)>,
}

impl JsonTemplate {
    /// Reads every text of `value` as a template.
    pub fn parse(value: &Value) -> Result<Self, DeclareError> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(items) => {
                Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let read =
                    |(name, value): (&String, &Value)| Ok((name.clone(), Self::parse(value)?));
                Self::Object(fields.iter().map(read).collect::<Result<_, DeclareError>>()?)
            }
            Value::Bool(_) | Value::Null | Value::Number(_) => Self::Plain(value.clone()),
        })
    }

    fn each<'a>(&'a self, see: &mut impl FnMut(&'a Template)) {
        match self {
            Self::List(items) => items.iter().for_each(|item| item.each(see)),
            Self::Object(fields) => fields.iter().for_each(|(_, value)| value.each(see)),
            Self::Plain(_) => {}
            Self::Text(template) => see(template),
        }
    }

    /// `None` for a place whose argument was left out.
    fn fill(&self, values: &Values) -> Result<Option<Value>, Unfit> {
        Ok(Some(match self {
            Self::List(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for item in items {
                    filled.extend(item.fill(values)?);
                }
                Value::Array(filled)
            }
            Self::Object(fields) => {
                let mut filled = Map::new();
                for (name, value) in fields {
                    if let Some(value) = value.fill(values)? {
                        filled.insert(name.clone(), value);
                    }
                }
                Value::Object(filled)
            }
            Self::Plain(value) => value.clone(),
            Self::Text(template) => {
                if let Some(name) = template.whole() {
                    return Ok(values.get(name).cloned());
                }
                let text = template.fill(values, |text| Ok(text.to_owned()))?;
                Value::String(text.concat())
            }
        }))
    }
}

impl HttpTool {
    /// Reads a request.
    pub fn parse(parts: HttpParts<'_>) -> Result<Self, DeclareError> {
        let HttpParts { method, url, query, headers, body } = parts;
        if !METHODS.contains(&method) {
            let what = format!("`{}` is no method of a tool", method.escape_debug());
            return Err(DeclareError::new(what, format!("write one of: {}", METHODS.join(", "))));
        }
        if matches!(method, "GET" | "DELETE") && !matches!(body, Body::None) {
            return Err(DeclareError::new(
                format!("a {method} request carries no content that servers agree on"),
                "put the inputs into the path or the query, or use POST",
            ));
        }
        let (secure, target, path) = url_parts(url)?;
        let headers = headers
            .into_iter()
            .map(|(name, template)| Ok((header_name(&name)?, template)))
            .collect::<Result<Pairs, DeclareError>>()?;
        Ok(Self { method: method.to_owned(), secure, target, path, query, headers, body })
    }

    /// Where it goes.
    pub fn target(&self) -> &HostPort {
        &self.target
    }

    /// Whether it goes over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Its method.
    pub fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn check<'a>(&'a self, inputs: &Inputs) -> Result<BTreeSet<&'a str>, DeclareError> {
        let mut used = BTreeSet::new();
        let mut place = |template: &'a Template, place: Place| {
            for name in template.names() {
                let input = inputs.known(name)?;
                place.takes(name, input, template.whole().is_some())?;
                used.insert(name);
            }
            Ok(())
        };
        for segment in &self.path {
            place(&segment.template, Place::Path)?;
        }
        self.headers.iter().try_for_each(|(_, template)| place(template, Place::Header))?;
        self.query.iter().try_for_each(|(_, template)| place(template, Place::Pair))?;
        match &self.body {
            Body::Form(pairs) => {
                pairs.iter().try_for_each(|(_, template)| place(template, Place::Pair))?;
            }
            Body::Json(json) => {
                let mut templates = Vec::new();
                json.each(&mut |template| templates.push(template));
                templates.into_iter().try_for_each(|template| place(template, Place::Pair))?;
            }
            Body::None => {}
        }
        Ok(used)
    }

    /// Learns which inputs may have a slash.
    #[must_use = "a builder is a value"]
    pub fn with_slashes(mut self, inputs: &Inputs) -> Self {
        for segment in &mut self.path {
            let slashes =
                |name: &str| inputs.get(name).is_some_and(super::input::Input::has_slashes);
            segment.slashes = segment.template.whole().is_some_and(slashes);
        }
        self
    }

    pub(super) fn fill(&self, values: &Values) -> Result<HttpCall, Unfit> {
        let mut path = String::new();
        for segment in &self.path {
            let filled =
                segment.template.fill(values, |text| encode::segment(text, segment.slashes))?;
            let filled = filled.concat();
            let name = segment.template.names().next().unwrap_or_default();
            if !name.is_empty() && matches!(filled.as_str(), "" | "." | "..") {
                return Err(Unfit::new(
                    name,
                    "becomes a dot segment, which names another resource",
                ));
            }
            path.push('/');
            path.push_str(&filled);
        }
        // Each value is one segment by now; this is the wall behind that.
        let read =
            UrlPath::parse(&path).map_err(|_| Unfit::new("path", "has more than one reading"))?;
        if read.sent() != path {
            return Err(Unfit::new("path", "is not in canonical form"));
        }
        let query = pairs(&self.query, values)?;
        let mut headers = Vec::new();
        for (name, template) in &self.headers {
            for value in template.fill(values, encode::header)? {
                headers.push((name.clone(), value));
            }
        }
        let body = match &self.body {
            Body::None => None,
            Body::Form(form) => {
                let text = pairs(form, values)?.unwrap_or_default();
                Some(("application/x-www-form-urlencoded", text.into_bytes()))
            }
            Body::Json(json) => {
                let value = json.fill(values)?.unwrap_or(Value::Null);
                Some(("application/json", value.to_string().into_bytes()))
            }
        };
        let (method, secure, target) = (self.method.clone(), self.secure, self.target.clone());
        Ok(HttpCall { method, secure, target, path, query, headers, body })
    }
}

fn pairs(pairs: &Pairs, values: &Values) -> Result<Option<String>, Unfit> {
    let mut parts = Vec::new();
    for (name, template) in pairs {
        // The names are the configuration's own and were checked when it was read.
        let name = encode::pair(name).unwrap_or_default();
        for value in template.fill(values, encode::pair)? {
            parts.push(format!("{name}={value}"));
        }
    }
    Ok((!parts.is_empty()).then(|| parts.join("&")))
}

/// What stands where a template does.
#[derive(Clone, Copy)]
enum Place {
    Header,
    Pair,
    Path,
}

impl Place {
    fn takes(self, name: &str, input: &super::Input, whole: bool) -> Result<(), DeclareError> {
        let single = matches!(self, Self::Path)
            || (matches!(self, Self::Header) && input.is_many())
            || !whole;
        if single && (input.is_optional() || input.is_many()) {
            return Err(DeclareError::new(
                format!("`{name}` may be missing or be several, and here it cannot"),
                format!(
                    "take `optional` or `many` from it, or write `{{{name}}}` as the whole of a query's, form's or JSON value"
                ),
            ));
        }
        Ok(())
    }
}

fn url_parts(url: &str) -> Result<(bool, HostPort, Vec<Segment>), DeclareError> {
    let malformed = |what: &str| {
        DeclareError::new(
            format!("the URL {what}"),
            "such as \"https://api.example.com/v1/customers/{id}\"",
        )
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| malformed("has no `https://`"))?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(malformed("begins with neither https:// nor http://")),
    };
    let (authority, path) =
        rest.split_once('/').ok_or_else(|| malformed("has no path; it begins with `/`"))?;
    if authority.contains(['{', '}']) {
        return Err(DeclareError::new(
            "the host is fixed by the configuration, never by an argument",
            "declare one tool for each host",
        ));
    }
    if path.contains(['?', '#']) {
        return Err(DeclareError::new(
            "the URL has a query or a fragment",
            "write the query as `query = { name = \"…\" }`",
        ));
    }
    let usual = if secure { 443 } else { 80 };
    let target = HostPort::parse(authority)
        .or_else(|_| Host::parse(authority).and_then(|host| HostPort::new(host, usual)))
        .map_err(|error| malformed(&format!("names no host: {error}")))?;
    let loopback = target.host().name() == Some("localhost")
        || target.host().address().is_some_and(|address| address.is_loopback());
    if !secure && !loopback {
        return Err(malformed("is plain http, which is for this machine alone"));
    }
    let segments = path
        .split('/')
        .map(|text| Ok(Segment { template: Template::parse(text)?, slashes: false }))
        .collect::<Result<Vec<_>, DeclareError>>()?;
    let sample: Vec<String> = segments
        .iter()
        .map(|segment| segment.template.literal().unwrap_or_else(|| "x".to_owned()))
        .collect();
    let sample = format!("/{}", sample.join("/"));
    match UrlPath::parse(&sample) {
        Ok(read) if read.sent() == sample => Ok((secure, target, segments)),
        _ => Err(malformed("has a path that is not in canonical form")),
    }
}

/// A header's name in lower case, unless it says where a request goes, where it ends, or who makes it.
fn header_name(name: &str) -> Result<String, DeclareError> {
    let lower = name.to_ascii_lowercase();
    let tame = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if lower.is_empty() || lower.len() > 128 || !lower.bytes().all(tame) {
        return Err(DeclareError::new(
            format!("`{}` is no header's name", name.escape_debug()),
            "write letters, digits and `-`",
        ));
    }
    if CREDENTIALS.contains(&lower.as_str()) {
        return Err(DeclareError::new(
            format!("`{lower}` carries a credential, which has no place in this file"),
            "declare it under [secrets.NAME], and name it here: secret = \"NAME\", as = \"bearer\"",
        ));
    }
    if FRAMING.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err(DeclareError::new(format!("`{lower}` is set by Bartizan"), "leave it out"));
    }
    Ok(lower)
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "x-api-key", "api-key"];
const FRAMING: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
