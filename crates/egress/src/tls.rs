//! Whom do we believe when an upstream says who it is?
//!
//! Mozilla's roots as compiled in, and the machine's own store beside them (`SSL_CERT_FILE` counts), so that
//! a company's inspecting gateway works where the person's other programs work.

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::OnceCell;

/// Why no TLS client could be made.
#[derive(Debug, Error)]
#[error("the TLS client cannot be set up: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// A client configuration for HTTP/1.1 upstreams over the public and the machine's own roots.
///
/// Reads the machine's certificate store: call it once, off the hot path.
pub fn system() -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // A broken entry in the machine's store takes away only itself.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    with_roots(roots)
}

/// A client configuration that believes `roots` alone.
pub fn with_roots(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Client configurations for both versions of HTTP, made when they are first needed.
#[expect(missing_debug_implementations, reason = "nothing in it is worth a look")]
pub struct Clients {
    made: OnceCell<[Arc<ClientConfig>; 2]>,
}

impl Clients {
    /// Over the public and the machine's own roots, which are read when the first connection needs them.
    pub fn system() -> Arc<Self> {
        Arc::new(Self { made: OnceCell::new() })
    }

    /// Over a configuration of one's own.
    pub fn with(config: &ClientConfig) -> Arc<Self> {
        Arc::new(Self { made: OnceCell::new_with(Some(both(config))) })
    }

    /// The configuration that offers HTTP/2 beside HTTP/1.1, or the latter alone.
    pub(crate) async fn config(&self, http2: bool) -> Result<Arc<ClientConfig>, TlsError> {
        let make = async || {
            let made = tokio::task::spawn_blocking(system).await;
            let made =
                made.unwrap_or_else(|error| Err(rustls::Error::General(error.to_string()).into()));
            made.map(|config| both(&config))
        };
        let [plain, newer] = self.made.get_or_try_init(make).await?;
        Ok(Arc::clone(if http2 { newer } else { plain }))
    }
}

fn both(config: &ClientConfig) -> [Arc<ClientConfig>; 2] {
    let offering = |protocols: &[&[u8]]| {
        let mut config = config.clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    };
    [offering(&[b"http/1.1"]), offering(&[b"h2", b"http/1.1"])]
}
