//! Whom do we believe when an upstream says who it is?
//!
//! Mozilla's roots as compiled in, and the machine's own store beside them (`SSL_CERT_FILE` counts), so that
//! a company's inspecting gateway works where the person's other programs work.

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use thiserror::Error;

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
