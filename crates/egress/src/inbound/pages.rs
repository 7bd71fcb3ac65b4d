//! What does a browser ask for, and what does it get? Each request is read whole, within bounds, and answered whole.

use super::Client;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A request that was read to its end.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Asked {
    /// Whether it is a POST; else it is a GET.
    pub post: bool,
    /// The path, as sent.
    pub path: String,
    /// What stands behind its question mark.
    pub query: String,
    /// The body; empty for a GET.
    pub body: Vec<u8>,
    fields: Vec<(String, String)>,
}

impl Asked {
    /// A GET of this path, with these header fields.
    pub fn get(path: &str, fields: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
        Self { path: path.to_owned(), fields: fields.iter().map(own).collect(), ..Self::default() }
    }

    /// The one field of this name in lower case; `None` when there is none, or more than one.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether there is any field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }
}

/// What goes back.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "an answer is made by whoever gives it")]
pub struct Page {
    /// The status.
    pub status: u16,
    /// The header fields, but for those of the framing.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Answers one request after the other until the client goes. `answer` may take its time: it has a thread to itself.
    pub async fn pages<F>(self, answer: Arc<F>) -> Option<String>
    where
        F: Fn(Asked) -> Page + Send + Sync + 'static,
    {
        let Self { strict, signals, certificate, standing } = self;
        let service = service_fn(|request| {
            let answer = Arc::clone(&answer);
            Box::pin(async move { Ok::<_, Infallible>(one(request, answer).await) })
        });
        let mut connection = server::conn::http1::Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(HEADERS)
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .serve_connection(TokioIo::new(strict), service);
        // A client that breaks off has ended the connection, and that is all.
        drop(poll_fn(|cx| connection.poll_without_shutdown(cx)).await);
        let mut strict = connection.into_parts().io.into_inner();
        drop(strict.flush().await);
        Self { strict, signals, certificate, standing }.close().await
    }
}

async fn one<F>(request: Request<Incoming>, answer: Arc<F>) -> Response<Full<Bytes>>
where
    F: Fn(Asked) -> Page + Send + Sync + 'static,
{
    let asked = match read(request).await {
        Ok(asked) => asked,
        Err(status) => return bare(status),
    };
    match spawn_blocking(move || answer(asked)).await {
        Ok(page) => written(page),
        Err(_) => bare(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn read(request: Request<Incoming>) -> Result<Asked, StatusCode> {
    let (head, body) = request.into_parts();
    let post = match head.method {
        Method::GET => false,
        Method::POST => true,
        _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
    };
    // The absolute form names a host of its own; only proxies are sent it.
    if head.uri.authority().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut fields = Vec::with_capacity(head.headers.len());
    for (name, value) in &head.headers {
        let value = value.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
        fields.push((name.as_str().to_owned(), value.to_owned()));
    }
    let read = timeout(PATIENCE, Limited::new(body, BODY).collect()).await;
    let body = match read {
        Ok(Ok(read)) => read.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok(Err(_)) => return Err(StatusCode::BAD_REQUEST),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
    };
    if !post && !body.is_empty() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let query = head.uri.query().unwrap_or_default().to_owned();
    Ok(Asked { post, path: head.uri.path().to_owned(), query, body: body.to_vec(), fields })
}

fn written(page: Page) -> Response<Full<Bytes>> {
    let Ok(status) = StatusCode::from_u16(page.status) else {
        return bare(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = status;
    for (name, value) in page.fields {
        let Ok(value) = HeaderValue::from_str(&value) else {
            return bare(StatusCode::INTERNAL_SERVER_ERROR);
        };
        response.headers_mut().append(HeaderName::from_static(name), value);
    }
    response
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

const BUFFER: usize = 64 << 10;
const HEADERS: usize = 64;
/// The longest form, in bytes.
const BODY: usize = 16 << 10;
/// For a body.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests.
const IDLE: Duration = Duration::from_secs(30);
