//! How is a client turned away? In the language its connection speaks: an HTTP answer, a SOCKS5 reply, or a TLS alert.

use crate::front::Kind;
use crate::refuse::{Refusal, Status};
use crate::stream::Rewound;
use crate::{head, socks};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Tells the client that its connection is refused, and closes it.
///
/// Bounded in time; a client that does not read its answer does not get one.
pub(crate) async fn refuse<S>(mut stream: Rewound<S>, kind: Kind, refusal: &Refusal)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = match kind {
        Kind::Absolute | Kind::Connect => refusal.to_http(),
        Kind::Socks => socks::reply(reply(refusal.status())).to_vec(),
        Kind::Transparent => match spoken(&mut stream).await {
            Speech::Http => refusal.to_http(),
            Speech::Tls => ACCESS_DENIED.to_vec(),
            Speech::Other => Vec::new(),
        },
    };
    hang_up(&mut stream, &answer).await;
}

/// Writes a last answer and closes.
///
/// What the client still has on its way is read and dropped for a moment: closing a socket with unread
/// data resets the connection, and the reset can overtake the answer.
pub(crate) async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answer: &[u8]) {
    let told = timeout(TELL, async {
        stream.write_all(answer).await?;
        stream.shutdown().await
    });
    if !matches!(told.await, Ok(Ok(()))) || answer.is_empty() {
        return;
    }
    let mut sink = [0u8; 4096];
    let mut left = 64usize;
    let drained = async {
        while left > 0 && stream.read(&mut sink).await.is_ok_and(|n| n > 0) {
            left -= 1;
        }
    };
    tokio::select! { () = drained => {}, () = sleep(LINGER) => {} }
}

/// A fatal TLS alert `access_denied` in a record of its own (RFC 8446 section 6.2).
pub(crate) const ACCESS_DENIED: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x31];

enum Speech {
    Http,
    Tls,
    Other,
}

/// What the client of a transparent connection speaks, by what it says first; silence is `Other`.
async fn spoken<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Rewound<S>) -> Speech {
    let mut said: Vec<u8> = Vec::new();
    let listen = async {
        loop {
            match said.first() {
                Some(0x16) => return Speech::Tls,
                Some(byte) if !byte.is_ascii_alphabetic() => return Speech::Other,
                _ => {}
            }
            match head::parse(&said) {
                Ok(Some(_)) => return Speech::Http,
                // It does not matter to a refusal whether the request was well formed.
                Err(_) if said.windows(7).any(|w| w == b" HTTP/1") => return Speech::Http,
                Err(_) => return Speech::Other,
                Ok(None) => {}
            }
            let mut chunk = [0u8; 2048];
            match stream.read(&mut chunk).await {
                Ok(n) if n > 0 => said.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                _ => return Speech::Other,
            }
        }
    };
    tokio::select! { speech = listen => speech, () = sleep(LISTEN) => Speech::Other }
}

/// The SOCKS5 reply field (RFC 1928 section 6).
const fn reply(status: Status) -> u8 {
    match status {
        Status::Forbidden | Status::Misdirected | Status::MethodNotAllowed => socks::NOT_ALLOWED,
        Status::BadGateway | Status::GatewayTimeout => socks::HOST_UNREACHABLE,
        Status::BadRequest
        | Status::BodyTooLarge
        | Status::HeadTooLarge
        | Status::RequestTimeout => socks::GENERAL_FAILURE,
    }
}

const TELL: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_millis(500);
const LISTEN: Duration = Duration::from_secs(1);
