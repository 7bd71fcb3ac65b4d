//! How is a client told that its request goes nowhere?

use super::{Answer, RequestJudge};
use crate::refuse::{APPROVAL_HEADER, REASON_HEADER, Refusal};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode, Version};
use std::time::Duration;
use tokio::time::timeout;

/// A refusal that a program can read: the reason in a header, and a JSON body.
pub(super) fn answer<J: RequestJudge>(refusal: &Refusal) -> Answer<J> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(refusal.to_json()))));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status().code()).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    note(headers, REASON_HEADER, refusal.code());
    if let Some(question) = refusal.approval() {
        note(headers, APPROVAL_HEADER, question);
    }
    response
}

/// [`answer`] to a request whose body nobody has read yet.
///
/// In HTTP/2 an answer before the end of the request is followed by a reset of the stream, which curl reports
/// in place of the answer. So a small body is read to its end first; a large or slow one has its stream reset.
pub(super) async fn unsent<J: RequestJudge>(
    refusal: &Refusal,
    parts: &Parts,
    mut body: Incoming,
) -> Answer<J> {
    if parts.version == Version::HTTP_2 {
        let read_out = async {
            let mut left = READ_OUT;
            while let Some(Ok(frame)) = body.frame().await {
                let size = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(size) else { break };
                left = less;
            }
        };
        let _late = timeout(PATIENCE, read_out).await;
    }
    answer(refusal)
}

fn note(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

const READ_OUT: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(1);
