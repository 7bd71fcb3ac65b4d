//! Which certificates do the programs in a box believe? The machine's, and the session's own authority.
//!
//! Two forms: PEM, which OpenSSL and all that is built on it read, and a Java key store.

use crate::terminate::SessionCa;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Certificates to believe, for the box.
#[derive(Debug, Clone)]
pub struct TrustStore {
    own: CertificateDer<'static>,
    roots: Vec<CertificateDer<'static>>,
}

impl TrustStore {
    /// The session's authority beside the certificates in `system`, a PEM file of the machine; what cannot be read
    /// in there is left out.
    pub fn new(ca: &SessionCa, system: &[u8]) -> Self {
        let roots = CertificateDer::pem_slice_iter(system).filter_map(Result::ok).collect();
        Self { own: ca.certificate().clone(), roots }
    }

    /// The session's authority alone, as PEM.
    pub fn own_pem(&self) -> String {
        pem(&self.own)
    }

    /// All of them as PEM.
    pub fn pem(&self) -> String {
        self.all().map(pem).collect()
    }

    /// All of them as a Java key store, which has no password: there is nothing to hide in it.
    pub fn java(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let count = u32::try_from(self.roots.len() + 1).unwrap_or(u32::MAX);
        for number in [JKS_MAGIC, JKS_VERSION, count] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for (number, certificate) in self.all().enumerate() {
            out.extend_from_slice(&TRUSTED_CERTIFICATE.to_be_bytes());
            text(&mut out, &format!("root-{number}"));
            // When it was added; nobody asks.
            out.extend_from_slice(&0u64.to_be_bytes());
            text(&mut out, "X.509");
            out.extend_from_slice(&u32::try_from(certificate.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(certificate);
        }
        // The digest of a store that is read without a password is skipped.
        out.extend_from_slice(&[0; 20]);
        out
    }

    fn all(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        std::iter::once(&self.own).chain(&self.roots)
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let digits = STANDARD.encode(certificate);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in digits.as_bytes().chunks(64) {
        out.extend(line.iter().map(|&digit| char::from(digit)));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

const JKS_MAGIC: u32 = 0xfeed_feed;
const JKS_VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let (ca, other) = (SessionCa::new("a").unwrap(), SessionCa::new("b").unwrap());
        let system = TrustStore::new(&other, b"").own_pem()
            + "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let store = TrustStore::new(&ca, system.as_bytes());
        let read: Vec<_> =
            CertificateDer::pem_slice_iter(store.pem().as_bytes()).map(Result::unwrap).collect();
        assert_eq!(read, [ca.certificate().clone(), other.certificate().clone()]);
        assert_eq!(
            store.java().get(..12),
            Some(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 2][..])
        );
    }
}
