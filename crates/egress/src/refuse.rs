//! Why does something not go out? A stable code and one sentence that the agent can act on.

use std::borrow::Cow;
use thiserror::Error;

/// The header that carries a refusal's code.
pub const REASON_HEADER: &str = "bartizan-reason";
/// The header that carries the id of the question that waits for a person.
pub const APPROVAL_HEADER: &str = "bartizan-approval";

/// Why something does not go out: a status, a stable code, and one safe sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{sentence} [{code}]")]
pub struct Refusal {
    status: Status,
    code: Cow<'static, str>,
    sentence: Cow<'static, str>,
    approval: Option<Cow<'static, str>>,
}

/// What kind of refusal it is; each maps to an HTTP status and a SOCKS5 reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 502: allowed, but the other side could not be reached.
    BadGateway,
    /// 400: the request cannot be understood in one way only.
    BadRequest,
    /// 413: the body is over the limit.
    BodyTooLarge,
    /// 403: policy, or a wall that no policy opens.
    Forbidden,
    /// 504: the other side did not answer in time.
    GatewayTimeout,
    /// 431: the head is over the limit.
    HeadTooLarge,
    /// 405: a method that never passes.
    MethodNotAllowed,
    /// 421: the bytes speak to another host than the one that was judged.
    Misdirected,
    /// 408: the box did not finish its request in time.
    RequestTimeout,
}

impl Refusal {
    /// A refusal; anything but printable ASCII in `code` and `sentence` is dropped, and both are cut (64 and
    /// 400 bytes), so that neither can carry a header line or a terminal sequence.
    pub fn new(
        status: Status,
        code: impl Into<Cow<'static, str>>,
        sentence: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (code, sentence) = (tame(code.into(), 64), tame(sentence.into(), 400));
        Self { status, code, sentence, approval: None }
    }

    /// The same refusal, with the short id of the question that a person can answer.
    #[must_use = "a refusal is a value"]
    pub fn asking(self, question: impl Into<Cow<'static, str>>) -> Self {
        Self { approval: Some(tame(question.into(), 64)), ..self }
    }

    /// The question that waits for a person, if one does.
    pub fn approval(&self) -> Option<&str> {
        self.approval.as_deref()
    }

    /// The refusal for a program: one JSON object on one line.
    pub fn to_json(&self) -> String {
        // Printable ASCII: these two are all that JSON wants escaped.
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let approval = match &self.approval {
            Some(question) => format!(",\"approval\":{}", quoted(question)),
            None => String::new(),
        };
        format!(
            "{{\"error\":{{\"by\":\"bartizan\",\"code\":{},\"message\":{}{approval}}}}}\n",
            quoted(&self.code),
            quoted(&self.sentence)
        )
    }

    /// What kind of refusal it is.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for the agent.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The refusal as a whole HTTP/1.1 response that closes the connection.
    pub fn to_http(&self) -> Vec<u8> {
        let body = format!("bartizan: {} [{}]\n", self.sentence, self.code);
        let approval = match &self.approval {
            Some(question) => format!("Bartizan-Approval: {question}\r\n"),
            None => String::new(),
        };
        format!(
            "HTTP/1.1 {}\r\nBartizan-Reason: {}\r\n{}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.status.line(),
            self.code,
            approval,
            body.len()
        )
        .into_bytes()
    }
}

impl Status {
    /// The HTTP status code.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::Misdirected => 421,
            Self::HeadTooLarge => 431,
            Self::BadGateway => 502,
            Self::GatewayTimeout => 504,
        }
    }

    fn line(self) -> &'static str {
        match self {
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::BodyTooLarge => "413 Content Too Large",
            Self::Misdirected => "421 Misdirected Request",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::BadGateway => "502 Bad Gateway",
            Self::GatewayTimeout => "504 Gateway Timeout",
        }
    }
}

fn tame(text: Cow<'static, str>, limit: usize) -> Cow<'static, str> {
    if text.len() <= limit && text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return text;
    }
    text.chars().filter(|c| (' '..='~').contains(c)).take(limit).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_cannot_carry_a_header_or_a_terminal_sequence() {
        let refusal = Refusal::new(
            Status::Forbidden,
            "x\r\nSet-Cookie: a",
            "host \u{1b}[31m\u{202e}`evil`\r\n\r\n",
        );
        assert_eq!(refusal.code(), "xSet-Cookie: a");
        let text = String::from_utf8(refusal.to_http()).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 403 Forbidden\r\nBartizan-Reason: xSet-Cookie: a\r\n"),
            "{text}"
        );
        assert!(text.ends_with("bartizan: host [31m`evil` [xSet-Cookie: a]\n"), "{text}");
    }
}
