//! How does a client come in to us over the network? Under TLS, or in the clear where the caller says so; and each byte of
//! its HTTP/1 is one that no two parsers read differently.
//!
//! This room only answers: it opens no socket, and a connection is handed to it.

use crate::refuse::hang_up;
use crate::terminate::strict::{Signals, Strict};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Why no certificate can be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InboundError {
    /// The chain.
    #[error("there is no certificate in PEM in it")]
    Certificate,
    /// The key.
    #[error("there is no private key in PEM in it")]
    Key,
    /// Both, together.
    #[error("the certificate and the key do not go together: {0}")]
    Pair(#[from] rustls::Error),
}

/// Takes connections in.
#[expect(missing_debug_implementations, reason = "there is a private key in it")]
#[derive(Clone)]
pub struct Inbound {
    tls: Option<TlsAcceptor>,
}

impl Inbound {
    /// In the clear: for a loopback address.
    pub fn plain() -> Self {
        Self { tls: None }
    }

    /// Under TLS 1.2 or 1.3, with a chain and its key, both in PEM.
    pub fn tls(chain: &[u8], key: &[u8]) -> Result<Self, InboundError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain =
            chain.ok().filter(|chain| !chain.is_empty()).ok_or(InboundError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| InboundError::Key)?;
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Some(TlsAcceptor::from(Arc::new(config))) })
    }

    /// Takes a connection in; a client that does not finish its handshake in time is let go.
    pub async fn take(&self, stream: TcpStream) -> io::Result<Client> {
        // An answer in two packets would wait for an acknowledgement that is itself delayed.
        stream.set_nodelay(true)?;
        let inner: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(acceptor) => {
                let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
                Box::new(shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
            }
        };
        let signals = Arc::<Signals>::default();
        Ok(Client { strict: Strict::new(inner, Arc::clone(&signals), HEAD), signals })
    }
}

/// A client that came in. After a flaw in its HTTP it is at its end.
#[expect(missing_debug_implementations, reason = "nothing in it is worth a look")]
pub struct Client {
    strict: Strict<Box<dyn Stream>>,
    signals: Arc<Signals>,
}

impl Client {
    /// Says why, if a flaw ended it, and closes. Gives the flaw's code.
    pub async fn close(self) -> Option<String> {
        let flaw = self.signals.take_flaw();
        let (mut stream, _) = self.strict.into_parts();
        let last = flaw.as_ref().map(crate::Refusal::to_http).unwrap_or_default();
        hang_up(&mut stream, &last).await;
        flaw.map(|flaw| flaw.code().to_owned())
    }
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().strict).poll_read(cx, buf)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().strict).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().strict).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.strict.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().strict).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().strict).poll_shutdown(cx)
    }
}

/// A connection, in the clear or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

const HANDSHAKE: Duration = Duration::from_secs(10);
/// For a head that has begun.
const HEAD: Duration = Duration::from_secs(10);
