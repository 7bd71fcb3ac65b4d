//! Who is a client that shows a certificate? Whoever a chosen authority says it is, for as long as it says so.
//!
//! The chain, its times and the proof of the key are rustls's to judge. Two things are stricter here: a certificate must say
//! that it is made for clients, and no handshake takes up an earlier one, so that each is judged at its own time.
//!
//! Where there are lists of revoked certificates, every certificate of a chain must be covered by one that holds; whoever is
//! on one, or on none that holds, is out, also in the middle of a connection.

use super::{InboundError, der};
use ring::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientCertVerifierBuilder, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// What a client's certificate says of it, after the certificate has held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who overlooks an end must not compile")]
pub struct Certificate {
    /// Its names of hosts, in lower case.
    pub dns: Vec<String>,
    /// Its other addresses, to the letter.
    pub uris: Vec<String>,
    /// The last second in which it holds, since 1970.
    pub ends_s: u64,
    /// The SHA-256 of all of it, in DER.
    pub sha256: [u8; 32],
}

/// Holds certificates of clients against the authorities that the operator chose.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Arc<RootCertStore>,
    demanded: bool,
    provider: Arc<CryptoProvider>,
    /// Judges all but what lists say.
    plain: Arc<dyn ClientCertVerifier>,
    /// Judges that too, where there are lists.
    listed: RwLock<Option<Arc<Lists>>>,
    /// Told when there are others.
    changed: watch::Sender<()>,
}

impl Verifier {
    /// For the authorities in a PEM text. Whoever shows no certificate comes in only if none is `demanded`; whoever shows
    /// one that does not hold never does.
    pub(super) fn new(
        authorities: &[u8],
        demanded: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, InboundError> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            let authority = authority.map_err(|_| InboundError::Authority)?;
            roots.add(authority).map_err(|_| InboundError::Authority)?;
        }
        if roots.is_empty() {
            return Err(InboundError::Authority);
        }
        let (roots, provider) = (Arc::new(roots), Arc::clone(provider));
        let plain = judge(&roots, demanded, &provider, Vec::new()).build();
        let plain = plain.map_err(|_| InboundError::Authority)?;
        let (listed, changed) = (RwLock::default(), watch::Sender::new(()));
        Ok(Arc::new(Self { roots, demanded, provider, plain, listed, changed }))
    }

    /// From now on the revocation lists in this PEM text count, or none. When it is an error, those from before do.
    pub(super) fn revoke(&self, lists: Option<&[u8]>) -> Result<(), InboundError> {
        let listed = match lists {
            None => None,
            Some(text) => {
                let lists: Result<Vec<_>, _> =
                    CertificateRevocationListDer::pem_slice_iter(text).collect();
                // Without any, nothing would be held against anything.
                let lists = lists.ok().filter(|lists| !lists.is_empty());
                let lists = lists.ok_or(InboundError::Revoked)?;
                let lists = Lists::new(&self.roots, self.demanded, &self.provider, lists);
                Some(Arc::new(lists.map_err(|_| InboundError::Revoked)?))
            }
        };
        *self.listed.write().unwrap_or_else(PoisonError::into_inner) = listed;
        self.changed.send_replace(());
        Ok(())
    }

    fn listed(&self) -> Option<Arc<Lists>> {
        self.listed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves with the code of what a list says of a chain that has held, once one says it: that it is revoked, or that no
    /// list holds any more that would say so.
    pub(super) async fn falls(
        self: Arc<Self>,
        chain: Vec<CertificateDer<'static>>,
    ) -> &'static str {
        let mut changed = self.changed.subscribe();
        loop {
            if let (Some(listed), Some((end, others))) = (self.listed(), chain.split_first())
                && let Err(error) = listed.verify(end, others, UnixTime::now())
                && let Some(code) = list_flaw(&error)
            {
                return code;
            }
            tokio::select! {
                // Its sender is ours.
                _ = changed.changed() => {}
                // A list ends without a word.
                () = sleep(AGAIN) => {}
            }
        }
    }

    /// What the first certificate of a chain says that has held.
    pub(super) fn said(&self, chain: &[CertificateDer<'_>]) -> Option<Certificate> {
        let (end, intermediates) = chain.split_first()?;
        let der::Said { dns, uris, for_clients } = der::read(end)?;
        let ends_s = self.ends(end, intermediates)?;
        let sha256 = digest(&SHA256, end).as_ref().try_into().ok()?;
        for_clients.then_some(Certificate { dns, uris, ends_s, sha256 })
    }

    /// The last second in which a certificate holds: asked of the same judge, who says since when it does not hold at the
    /// end of time.
    fn ends(&self, end: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Option<u64> {
        let last = UnixTime::since_unix_epoch(Duration::from_secs(END_OF_TIME_S));
        match self.plain.verify_client_cert(end, others, last) {
            Ok(_) => Some(END_OF_TIME_S),
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => Some(not_after.as_secs()),
            Err(_) => None,
        }
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.plain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.plain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.plain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = match self.listed() {
            Some(lists) => lists.verify(end, intermediates, now)?,
            None => self.plain.verify_client_cert(end, intermediates, now)?,
        };
        let said = der::read(end).ok_or(CertificateError::BadEncoding)?;
        if !said.for_clients {
            return Err(CertificateError::InvalidPurpose.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.plain.verify_tls12_signature(message, end, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.plain.verify_tls13_signature(message, end, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.plain.supported_verify_schemes()
    }
}

/// Holds chains against lists of revoked certificates.
#[derive(Debug)]
struct Lists {
    /// Every certificate must be covered; of two lists of one authority this looks at the first.
    all: Arc<dyn ClientCertVerifier>,
    /// So each list is asked by itself, too, where there are several: who is on any is out, however the file came together.
    each: Vec<Arc<dyn ClientCertVerifier>>,
}

impl Lists {
    fn new(
        roots: &Arc<RootCertStore>,
        demanded: bool,
        provider: &Arc<CryptoProvider>,
        lists: Vec<CertificateRevocationListDer<'static>>,
    ) -> Result<Self, VerifierBuilderError> {
        let alone = |list: &CertificateRevocationListDer<'static>| {
            let judge = judge(roots, demanded, provider, vec![list.clone()]);
            judge.allow_unknown_revocation_status().build()
        };
        let several = if lists.len() > 1 { lists.as_slice() } else { &[] };
        let each = several.iter().map(alone).collect::<Result<_, _>>()?;
        let all = judge(roots, demanded, provider, lists).build()?;
        Ok(Self { all, each })
    }

    fn verify(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.all.verify_client_cert(end, others, now)?;
        for list in &self.each {
            match list.verify_client_cert(end, others, now) {
                Err(error) if list_flaw(&error) == Some("certificate-revoked") => {
                    return Err(error);
                }
                // Whether there is one that holds has been judged above.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(verified)
    }
}

/// Who judges by these roots, and by these lists if there are any: then every certificate of a chain must be covered by one
/// that holds.
fn judge(
    roots: &Arc<RootCertStore>,
    demanded: bool,
    provider: &Arc<CryptoProvider>,
    lists: Vec<CertificateRevocationListDer<'static>>,
) -> ClientCertVerifierBuilder {
    let (roots, provider) = (Arc::clone(roots), Arc::clone(provider));
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = builder.with_crls(lists).enforce_revocation_expiration();
    if demanded { builder } else { builder.allow_unauthenticated() }
}

/// Why a handshake failed for the client's certificate, as a stable code; `None` when it failed for something else.
pub(super) fn flaw(error: &io::Error) -> Option<&'static str> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    if let Some(code) = list_flaw(error) {
        return Some(code);
    }
    Some(match error {
        Error::NoCertificatesPresented => "certificate-missing",
        Error::InvalidCertificate(flaw) => match flaw {
            CertificateError::BadEncoding => "certificate-malformed",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "certificate-expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "certificate-not-yet"
            }
            CertificateError::UnknownIssuer => "certificate-issuer-unknown",
            CertificateError::BadSignature => "certificate-signature",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "certificate-not-for-clients"
            }
            _ => "certificate-refused",
        },
        _ => return None,
    })
}

/// The code of what a list says of a certificate, or of what is wrong with the list.
fn list_flaw(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::InvalidCertificate(CertificateError::Revoked) => "certificate-revoked",
        Error::InvalidCertificate(CertificateError::UnknownRevocationStatus) => {
            "certificate-on-no-list"
        }
        Error::InvalidCertificate(
            CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. },
        ) => "revocation-list-expired",
        Error::InvalidCertRevocationList(_) => "revocation-list-refused",
        _ => return None,
    })
}

/// How often an open connection's certificate is held against the lists without a reason.
const AGAIN: Duration = Duration::from_secs(30);
/// 31 December 9999, after which no certificate can hold (RFC 5280 section 4.1.2.5).
const END_OF_TIME_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
