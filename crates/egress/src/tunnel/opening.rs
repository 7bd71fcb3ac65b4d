//! What does a client begin with, and may that pass? Its first bytes are held back until it is clear.

use super::trip::Trip;
use super::{EncryptedHello, Ended, misdirected, unclear};
use crate::capture::more;
use crate::front::Kind;
use crate::hello::{self, HELLO_LIMIT, Hello, HelloError};
use crate::http;
use crate::refuse::{Refusal, Status};
use crate::socks;
use crate::stream::Rewound;
use crate::terminate::RequestJudge;
use crate::turn_away::{ACCESS_DENIED, hang_up};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

/// What the first bytes of a client are.
pub(super) enum Opening {
    Http,
    Other,
    Tls(Hello),
}

impl<J: RequestJudge> Trip<'_, J> {
    /// Tells the client that its tunnel is there.
    pub(super) async fn welcome<S: AsyncWrite + Unpin>(&self, client: &mut S) -> Result<(), Ended> {
        let text: &[u8] = match self.kind {
            Kind::Connect => b"HTTP/1.1 200 Connection Established\r\n\r\n",
            Kind::Socks => &socks::reply(0),
            Kind::Absolute | Kind::Transparent => return Ok(()),
        };
        client.write_all(text).await.map_err(|error| Ended::Broken(error.kind()))
    }

    /// Collects the client's first bytes, and meanwhile passes on what the server says.
    pub(super) async fn listen<S, U>(
        &self,
        client: &mut S,
        upstream: &mut U,
    ) -> (Vec<u8>, Result<Opening, Ended>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + Unpin,
    {
        let mut first = Vec::new();
        let mut deadline = None;
        let mut server_spoke = false;
        let mut said = vec![0u8; 8192];
        loop {
            match self.opening(&first) {
                // An HTTP server does not speak first; this one would take for a request what its
                // protocol means otherwise.
                Ok(Some(Opening::Http)) if server_spoke => {
                    return (
                        first,
                        Err(Ended::Refused(unclear("the server spoke before an HTTP request"))),
                    );
                }
                Ok(Some(opening)) => return (first, Ok(opening)),
                Ok(None) => {}
                Err(ended) => return (first, Err(ended)),
            }
            let until =
                *deadline.get_or_insert_with(|| Instant::now() + self.tunnel.limits.opening);
            tokio::select! {
                read = more(client, &mut first, HELLO_LIMIT) => {
                    if let Err(error) = read {
                        let opened = self.at_end(&first, &error);
                        return (first, opened);
                    }
                }
                read = upstream.read(&mut said) => match read {
                    Ok(0) => return (first, Err(Ended::Finished)),
                    Ok(count) => {
                        server_spoke = true;
                        if let Err(error) = client.write_all(said.get(..count).unwrap_or_default()).await {
                            return (first, Err(Ended::Broken(error.kind())));
                        }
                    }
                    Err(error) => return (first, Err(Ended::Broken(error.kind()))),
                },
                () = sleep_until(until), if !first.is_empty() => return (first, Err(Ended::Refused(slow()))),
                () = self.meter.idle(self.tunnel.limits.idle) => return (first, Err(Ended::Idle)),
            }
            if first.is_empty() {
                deadline = None;
            }
        }
    }

    /// What `first` begins; `None` while it could still be several things.
    pub(super) fn opening(&self, first: &[u8]) -> Result<Option<Opening>, Ended> {
        if first.is_empty() {
            return Ok(None);
        }
        match hello::parse(first) {
            Ok(hello) => return Ok(hello.map(Opening::Tls)),
            Err(HelloError::NotTls) => {}
            Err(error) => {
                return Err(Ended::Refused(misdirected("malformed-tls", error.to_string())));
            }
        }
        if self.is_tls_port() {
            return Err(Ended::Refused(misdirected("not-tls", "on this port only TLS passes")));
        }
        match http::looks_like(first) {
            http::Looks::Http1 => Ok(Some(Opening::Http)),
            http::Looks::Http2 => {
                Err(Ended::Refused(misdirected("h2c-refused", "HTTP/2 passes only inside TLS")))
            }
            http::Looks::Unclear => Ok(None),
            http::Looks::Other if self.is_http_port() => Err(not_http()),
            http::Looks::Other => Ok(Some(Opening::Other)),
        }
    }

    fn is_http_port(&self) -> bool {
        self.tunnel.limits.http_ports.contains(&self.target.port())
    }

    /// A client that ends before its first bytes are clear has still said them. They were no request, which ends its first
    /// line: where only requests pass, they do not.
    fn at_end(&self, first: &[u8], error: &io::Error) -> Result<Opening, Ended> {
        match error.kind() {
            io::ErrorKind::UnexpectedEof if !first.is_empty() && self.is_http_port() => {
                Err(not_http())
            }
            io::ErrorKind::UnexpectedEof => Ok(Opening::Other),
            kind => Err(Ended::Broken(kind)),
        }
    }

    /// Holds a TLS client to the host that was judged (ATTACKS N10).
    pub(super) fn check(&mut self, opening: Opening) -> Result<Opening, Refusal> {
        let Opening::Tls(hello) = opening else { return Ok(opening) };
        self.sni.clone_from(&hello.server_name);
        match &hello.server_name {
            Some(name) if name == self.target.host() => {}
            Some(_) => {
                return Err(misdirected(
                    "sni-mismatch",
                    "the TLS server name is not the host of the connection",
                ));
            }
            // A client that dials an address has no name to give; the address itself was judged.
            None if self.target.host().address().is_some() => {}
            None => return Err(misdirected("sni-missing", "the TLS client names no server")),
        }
        if hello.encrypted && self.tunnel.limits.encrypted_hello == EncryptedHello::Refuse {
            return Err(misdirected(
                "ech-refused",
                "an encrypted client hello may name another host; turn ECH off",
            ));
        }
        Ok(Opening::Tls(hello))
    }

    /// Closes the client's side after a tunnel was opened, with an alert if it speaks TLS.
    pub(super) async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut client: Rewound<S>,
        ended: Ended,
    ) -> Ended {
        let answer: &[u8] = match &ended {
            Ended::Refused(refusal) => match refusal.code() {
                "h2c-refused" | "not-http" | "unclear-protocol" | "opening-timeout" | "not-tls" => {
                    &[]
                }
                _ => &ACCESS_DENIED,
            },
            _ => return ended,
        };
        hang_up(&mut client, answer).await;
        ended
    }
}

fn not_http() -> Ended {
    Ended::Refused(misdirected("not-http", "on this port only HTTP/1.1 and TLS pass"))
}

pub(super) fn slow() -> Refusal {
    Refusal::new(
        Status::RequestTimeout,
        "opening-timeout",
        "the first bytes did not arrive in time",
    )
}
