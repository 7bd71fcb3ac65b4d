//! Whom does the box believe? An authority that lives as long as its session, and only in our memory.
//!
//! Its certificate is placed in the box, its key nowhere: a leaf for each judged host is made here when the host
//! is first reached. The encoded key is wiped on drop; what the crypto library holds of it is not in our hands.

use crate::name::Host;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SigningKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why the authority, or one of its leaves, could not be made.
#[derive(Debug, Error)]
#[error("the session's certificate authority failed: {0}")]
pub struct CaError(String);

impl CaError {
    fn new(cause: impl std::fmt::Display) -> Self {
        Self(format!("{cause}"))
    }
}

/// The certificate authority of one session.
#[expect(missing_debug_implementations, reason = "it holds a private key")]
pub struct SessionCa {
    key: Zeroizing<KeyPair>,
    params: CertificateParams,
    certificate: CertificateDer<'static>,
    /// One key for all leaves: they all vouch for the same listener.
    leaf: Zeroizing<KeyPair>,
    leaf_key: Arc<dyn SigningKey>,
    served: Mutex<HashMap<(Host, Alpn), Arc<ServerConfig>>>,
}

/// The protocol that a connection's two sides speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Alpn {
    Http1,
    Http2,
}

impl Alpn {
    pub(super) fn id(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

impl SessionCa {
    /// Makes a new authority; `session` is shown in its name.
    pub fn new(session: &str) -> Result<Self, CaError> {
        let key = Zeroizing::new(KeyPair::generate().map_err(CaError::new)?);
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Bartizan session {session}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params);
        let certificate = params.self_signed(&*key).map_err(CaError::new)?.der().clone();
        let leaf = Zeroizing::new(KeyPair::generate().map_err(CaError::new)?);
        let der = Zeroizing::new(leaf.serialize_der());
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice()));
        let leaf_key = ring::sign::any_ecdsa_type(&der).map_err(CaError::new)?;
        Ok(Self { key, params, certificate, leaf, leaf_key, served: Mutex::default() })
    }

    /// The authority's own certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// How to be `host`, in one protocol.
    pub(super) fn server(&self, host: &Host, alpn: Alpn) -> Result<Arc<ServerConfig>, CaError> {
        let place = (host.clone(), alpn);
        let known = self.served.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some(config) = known {
            return Ok(config);
        }
        let certified = Arc::new(Certified(Arc::new(self.mint(host)?)));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(CaError::new)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(certified);
        config.alpn_protocols = vec![alpn.id().to_vec()];
        let config = Arc::new(config);
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if served.len() >= HOSTS_KEPT {
            served.clear();
        }
        served.insert(place, Arc::clone(&config));
        Ok(config)
    }

    fn mint(&self, host: &Host) -> Result<CertifiedKey, CaError> {
        let mut params = CertificateParams::default();
        let name = host.to_string();
        params.distinguished_name = named(name.get(..64).unwrap_or(&name));
        params.subject_alt_names = vec![match host.address() {
            Some(address) => SanType::IpAddress(address),
            None => SanType::DnsName(name.as_str().try_into().map_err(CaError::new)?),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params);
        let issuer = Issuer::from_params(&self.params, &*self.key);
        let leaf = params.signed_by(&*self.leaf, &issuer).map_err(CaError::new)?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        Ok(CertifiedKey::new(chain, Arc::clone(&self.leaf_key)))
    }
}

#[derive(Debug)]
struct Certified(Arc<CertifiedKey>);

impl ResolvesServerCert for Certified {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The name was compared with the judged host before the handshake began.
        Some(Arc::clone(&self.0))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Sets a certificate's time: from two days ago, for clocks that differ, to a month from now. No session lasts longer.
fn set_validity(params: &mut CertificateParams) {
    let today =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let at = |days: u64| {
        let (year, month, day) = civil(days);
        date_time_ymd(year, month, day)
    };
    (params.not_before, params.not_after) = (at(today.saturating_sub(2)), at(today + 30));
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
fn civil(days: u64) -> (i32, u8, u8) {
    let leap = |year: i32| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if left < length || year >= 9999 {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, u8::try_from(left + 1).unwrap_or(31))
}

const HOSTS_KEPT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (20_454, (2026, 1, 1)),
            (20_818, (2026, 12, 31)),
        ] {
            assert_eq!(civil(days), date, "{days}");
        }
    }

    #[test]
    fn a_host_is_served_by_one_leaf_and_an_address_too() {
        let ca = SessionCa::new("test").unwrap();
        let host = Host::parse("ok.test").unwrap();
        let first = ca.server(&host, Alpn::Http1).unwrap();
        assert!(Arc::ptr_eq(&first, &ca.server(&host, Alpn::Http1).unwrap()));
        assert!(!Arc::ptr_eq(&first, &ca.server(&host, Alpn::Http2).unwrap()));
        assert!(ca.server(&Host::parse("2606:4700::1").unwrap(), Alpn::Http1).is_ok());
        assert!(ca.server(&Host::parse("_odd.test").unwrap(), Alpn::Http1).is_ok());
    }
}
