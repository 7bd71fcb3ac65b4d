//! How does a client come in to us over the network? Under TLS, or in the clear where the caller says so; and each byte of
//! its HTTP/1 is one that no two parsers read differently.
//!
//! This room only answers: it opens no socket, and a connection is handed to it.

mod certified;
mod der;
mod pages;

pub use certified::Certificate;
pub use pages::{Asked, Page};

use crate::terminate::strict::{Signals, Strict};
use crate::turn_away::hang_up;
use certified::Verifier;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
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

/// Why no certificate can be shown, or none of a client's judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InboundError {
    /// Who signs for the clients.
    #[error("there is no certificate of an authority in PEM in it, or one that cannot be read")]
    Authority,
    /// The chain.
    #[error("there is no certificate in PEM in it")]
    Certificate,
    /// The key.
    #[error("there is no private key in PEM in it")]
    Key,
    /// Both, together.
    #[error("the certificate and the key do not go together: {0}")]
    Pair(#[from] rustls::Error),
    /// Whom an authority signs for no more.
    #[error("there is no revocation list in PEM in it, or one that cannot be read")]
    Revoked,
}

/// Why a connection was not taken in.
#[derive(Debug, Error)]
#[error("the handshake failed")]
pub struct NotTaken {
    flaw: Option<&'static str>,
    #[source]
    source: io::Error,
}

impl NotTaken {
    /// The code of what is wrong with the client's certificate, if that is why.
    pub fn flaw(&self) -> Option<&'static str> {
        self.flaw
    }
}

impl From<io::Error> for NotTaken {
    fn from(source: io::Error) -> Self {
        Self { flaw: certified::flaw(&source), source }
    }
}

/// Takes connections in.
#[expect(missing_debug_implementations, reason = "there is a private key in it")]
#[derive(Clone)]
pub struct Inbound {
    tls: Option<TlsAcceptor>,
    /// Who says what a client's certificate says, where there are some.
    clients: Option<Arc<Verifier>>,
}

impl Inbound {
    /// In the clear: for a loopback address.
    pub fn plain() -> Self {
        Self { tls: None, clients: None }
    }

    /// Under TLS 1.2 or 1.3, with a chain and its key, both in PEM.
    pub fn tls(chain: &[u8], key: &[u8]) -> Result<Self, InboundError> {
        Self::under(chain, key, None)
    }

    /// The same, where clients show certificates of these `authorities`, in PEM: every client if they are `demanded`.
    pub fn mutual(
        chain: &[u8],
        key: &[u8],
        (authorities, demanded): (&[u8], bool),
    ) -> Result<Self, InboundError> {
        let provider = Arc::new(ring::default_provider());
        Self::under(chain, key, Some(Verifier::new(authorities, demanded, &provider)?))
    }

    /// From now on the revocation lists in this PEM text count, or none: whoever is on one is out, also from connections that
    /// are open. When it is an error, those from before do.
    pub fn revoke(&self, lists: Option<&[u8]>) -> Result<(), InboundError> {
        match (&self.clients, lists) {
            (Some(verifier), lists) => verifier.revoke(lists),
            (None, None) => Ok(()),
            // No certificate is asked for, so none could be found on it.
            (None, Some(_)) => Err(InboundError::Authority),
        }
    }

    fn under(
        chain: &[u8],
        key: &[u8],
        clients: Option<Arc<Verifier>>,
    ) -> Result<Self, InboundError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain =
            chain.ok().filter(|chain| !chain.is_empty()).ok_or(InboundError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| InboundError::Key)?;
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = match &clients {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier) as _),
        }
        .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if clients.is_some() {
            // A session that is taken up again brings its certificate along, and nobody looks at it.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self { tls: Some(TlsAcceptor::from(Arc::new(config))), clients })
    }

    /// Takes a connection in; a client that does not finish its handshake in time is let go.
    pub async fn take(&self, stream: TcpStream) -> Result<Client, NotTaken> {
        // An answer in two packets would wait for an acknowledgement that is itself delayed.
        stream.set_nodelay(true)?;
        let (mut certificate, mut standing) = (None, None);
        let inner: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(acceptor) => {
                let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
                let shaken = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                let shown = shaken.get_ref().1.peer_certificates();
                if let Some((verifier, chain)) = self.clients.as_ref().zip(shown) {
                    let said = verifier.said(chain).ok_or_else(|| NotTaken {
                        flaw: Some("certificate-malformed"),
                        source: io::Error::from(io::ErrorKind::InvalidData),
                    })?;
                    certificate = Some(Arc::new(said));
                    let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
                    standing = Some((Arc::clone(verifier), chain));
                }
                Box::new(shaken)
            }
        };
        let signals = Arc::<Signals>::default();
        let strict = Strict::new(inner, Arc::clone(&signals), HEAD);
        Ok(Client { strict, signals, certificate, standing })
    }
}

/// A client that came in. After a flaw in its HTTP it is at its end.
#[expect(missing_debug_implementations, reason = "nothing in it is worth a look")]
pub struct Client {
    strict: Strict<Box<dyn Stream>>,
    signals: Arc<Signals>,
    certificate: Option<Arc<Certificate>>,
    /// Who says whether that stands, and the chain.
    standing: Option<(Arc<Verifier>, Vec<CertificateDer<'static>>)>,
}

impl Client {
    /// What the client's certificate says, if it showed one; it has held.
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// Resolves when the client's certificate is revoked, with a code; never for a client without one.
    pub fn revoked(&self) -> impl Future<Output = &'static str> + Send + use<> {
        let standing = self.standing.clone();
        async move {
            match standing {
                Some((verifier, chain)) => verifier.falls(chain).await,
                None => std::future::pending().await,
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::RootCertStore;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    fn certificate() -> (CertificateDer<'static>, String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let pem = |kind: &str, der: &[u8]| {
            let text = STANDARD.encode(der);
            format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
        };
        let key = pem("PRIVATE KEY", &signing_key.serialize_der());
        (cert.der().clone(), pem("CERTIFICATE", cert.der()), key)
    }

    /// What one client's bytes are on our side, once it has come in; nothing if it did not.
    async fn taken(listener: TcpListener, inbound: Inbound) -> Option<Vec<u8>> {
        let (stream, _) = listener.accept().await.unwrap();
        let mut client = inbound.take(stream).await.ok()?;
        let mut seen = vec![0; REQUEST.len()];
        client.read_exact(&mut seen).await.ok()?;
        drop(client.close().await);
        Some(seen)
    }

    #[tokio::test]
    async fn who_believes_our_certificate_comes_in_and_clear_text_does_not() {
        let (der, chain, key) = certificate();
        let inbound = Inbound::tls(chain.as_bytes(), key.as_bytes()).unwrap();
        for believes in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(taken(listener, inbound.clone()));
            let mut roots = RootCertStore::empty();
            if believes {
                roots.add(der.clone()).unwrap();
            }
            let connector = TlsConnector::from(crate::tls::with_roots(roots).unwrap());
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let shaken = connector.connect(name, stream).await;
            assert_eq!(shaken.is_ok(), believes);
            if let Ok(mut stream) = shaken {
                stream.write_all(REQUEST).await.unwrap();
                assert_eq!(server.await.unwrap().as_deref(), Some(REQUEST));
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut clear = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::spawn(taken(listener, inbound));
        clear.write_all(REQUEST).await.unwrap();
        assert_eq!(server.await.unwrap(), None);
    }

    #[test]
    fn a_chain_and_a_key_that_do_not_belong_together_are_refused() {
        let ((_, chain, key), (_, _, other)) = (certificate(), certificate());
        let tls = |chain: &str, key: &str| Inbound::tls(chain.as_bytes(), key.as_bytes());
        assert!(tls(&chain, &key).is_ok());
        assert!(matches!(tls(&chain, &other), Err(InboundError::Pair(_))));
        assert!(matches!(tls("", &key), Err(InboundError::Certificate)));
        assert!(matches!(tls(&key, &key), Err(InboundError::Certificate)));
        assert!(matches!(tls(&chain, "nonsense"), Err(InboundError::Key)));
    }
}
