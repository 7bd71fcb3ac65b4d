//! Real handshakes: who comes in with which certificate, and what is said of who does not?
use super::super::Inbound;
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

type Authority = CertifiedIssuer<'static, KeyPair>;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A chain, the client's own first, and its key.
type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn authority(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

/// One that may sign lists.
fn lister_params(name: &str) -> CertificateParams {
    let mut params = authority_params(name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn lister(name: &str) -> Authority {
    CertifiedIssuer::self_signed(lister_params(name), KeyPair::generate().unwrap()).unwrap()
}

/// What a client's certificate is like unless a test says otherwise.
fn params() -> CertificateParams {
    let mut params = CertificateParams::new(vec!["laptop.example".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::URI("spiffe://example/laptop".try_into().unwrap()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    params
}

fn signed(params: &CertificateParams, by: &Authority) -> Shown {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &**by).unwrap();
    (vec![certificate.der().clone()], key.into())
}

/// How the server is reached, and which clients it takes.
struct World {
    inbound: Inbound,
    own: CertificateDer<'static>,
}

impl World {
    fn new(authorities: &[&Authority], demanded: bool) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) =
            (pem("CERTIFICATE", cert.der()), pem("PRIVATE KEY", &signing_key.serialize_der()));
        let trusted: String = authorities.iter().map(|it| pem("CERTIFICATE", it.der())).collect();
        let clients = (trusted.as_bytes(), demanded);
        let inbound = Inbound::mutual(chain.as_bytes(), key.as_bytes(), clients).unwrap();
        Self { inbound, own: cert.der().clone() }
    }

    /// What the server makes of a client that shows this, and whether that client got a word through.
    async fn take(
        &self,
        shown: Option<Shown>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Option<Certificate>, Option<&'static str>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inbound = self.inbound.clone();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut client = inbound.take(stream).await.map_err(|not| not.flaw())?;
            let mut said = [0; REQUEST.len()];
            client.read_exact(&mut said).await.map_err(|_| Some("nothing said"))?;
            let certificate = client.certificate().map(|it| Certificate::clone(it));
            drop(client.close().await);
            Ok(certificate)
        });
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match shown {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        // In TLS 1.3 the client is done before the server has looked at its certificate.
        if let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await {
            drop(stream.write_all(REQUEST).await);
            drop(stream.flush().await);
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
        server.await.unwrap()
    }
}

#[tokio::test]
async fn who_shows_what_the_authority_signed_comes_in_under_its_names() {
    let ours = authority("ours");
    let world = World::new(&[&authority("another of ours"), &ours], true);
    let ends_s = date_time_ymd(2040, 1, 1).unix_timestamp().unsigned_abs();
    let dns = vec!["laptop.example".to_owned()];
    let uris = vec!["spiffe://example/laptop".to_owned()];
    let said = |shown: &Shown| {
        let sha256 = digest(&SHA256, &shown.0[0]).as_ref().try_into().unwrap();
        Certificate { dns: dns.clone(), uris: uris.clone(), ends_s, sha256 }
    };
    for version in [&version::TLS12, &version::TLS13] {
        let shown = signed(&params(), &ours);
        let said = said(&shown);
        assert_eq!(world.take(Some(shown), version).await, Ok(Some(said)), "{version:?}");
    }
    // Through an authority in between that ends earlier: the end is the client's own.
    let mut between = authority_params("between");
    between.not_after = date_time_ymd(2035, 1, 1);
    let between =
        CertifiedIssuer::signed_by(between, KeyPair::generate().unwrap(), &*ours).unwrap();
    let mut shown = signed(&params(), &between);
    shown.0.push(between.der().clone());
    let said = said(&shown);
    assert_eq!(world.take(Some(shown), &version::TLS13).await, Ok(Some(said)));
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_lets_nobody_in_whether_one_is_demanded_or_not() {
    let (ours, theirs) = (authority("ours"), authority("ours"));
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = params();
        change(&mut params);
        Some(signed(&params, &ours))
    };
    let alone = KeyPair::generate().unwrap();
    let self_signed = params().self_signed(&alone).unwrap().der().clone();
    let cases = [
        ("certificate-expired", with(&|it| it.not_after = date_time_ymd(2021, 1, 1))),
        ("certificate-not-yet", with(&|it| it.not_before = date_time_ymd(2039, 1, 1))),
        ("certificate-not-for-clients", with(&|it| it.extended_key_usages.clear())),
        (
            "certificate-not-for-clients",
            with(&|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ),
        (
            "certificate-not-for-clients",
            with(&|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
        ),
        ("certificate-issuer-unknown", Some(signed(&params(), &authority("theirs")))),
        // Of an authority that has the very name of ours.
        ("certificate-signature", Some(signed(&params(), &theirs))),
        ("certificate-issuer-unknown", Some((vec![self_signed], alone.into()))),
    ];
    for (code, shown) in cases {
        for demanded in [true, false] {
            let world = World::new(&[&ours], demanded);
            for version in [&version::TLS12, &version::TLS13] {
                let again = shown.as_ref().map(|(chain, key)| (chain.clone(), key.clone_key()));
                let taken = world.take(again, version).await;
                assert_eq!(taken, Err(Some(code)), "{version:?} {demanded}");
            }
        }
    }
}

#[tokio::test]
async fn who_shows_none_comes_in_only_where_none_is_demanded_and_then_as_nobody() {
    let ours = authority("ours");
    for version in [&version::TLS12, &version::TLS13] {
        let demanded = World::new(&[&ours], true).take(None, version).await;
        assert_eq!(demanded, Err(Some("certificate-missing")), "{version:?}");
        assert_eq!(World::new(&[&ours], false).take(None, version).await, Ok(None), "{version:?}");
    }
}

#[test]
fn a_file_without_an_authority_is_none() {
    let provider = Arc::new(ring::default_provider());
    for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(
            Verifier::new(text.as_bytes(), true, &provider),
            Err(InboundError::Authority)
        ));
    }
}

/// A list of `by` that is good from `from` to `to`, with these serial numbers on it.
fn list(by: &Authority, (from, to): (i32, i32), serials: &[u8]) -> String {
    let revoked = |serial: &u8| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&[*serial]),
        revocation_time: date_time_ymd(2021, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(from, 1, 1),
        next_update: date_time_ymd(to, 1, 1),
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    pem("X509 CRL", params.signed_by(&**by).unwrap().der())
}

fn numbered(serial: u8, by: &Authority) -> Shown {
    let mut params = params();
    params.serial_number = Some(SerialNumber::from_slice(&[serial]));
    signed(&params, by)
}

fn again(shown: &Shown) -> Shown {
    (shown.0.clone(), shown.1.clone_key())
}

#[tokio::test]
async fn who_is_on_a_list_is_out_and_so_is_whoever_no_list_holds_that_would_say_so() {
    let ours = lister("ours");
    let (good, bad) = (numbered(7, &ours), numbered(8, &ours));
    let (held, past) = ((2024, 2040), (2020, 2024));
    let of_another = lister("ours");
    let cases = [
        (list(&ours, held, &[8]), (None, Some("certificate-revoked"))),
        (list(&ours, held, &[]), (None, None)),
        (
            list(&ours, past, &[8]),
            (Some("revocation-list-expired"), Some("revocation-list-expired")),
        ),
        (
            list(&lister("theirs"), held, &[]),
            (Some("certificate-on-no-list"), Some("certificate-on-no-list")),
        ),
        // Of an authority that has the very name of ours.
        (
            list(&of_another, held, &[]),
            (Some("revocation-list-refused"), Some("revocation-list-refused")),
        ),
        (
            list(&lister("theirs"), held, &[]) + &list(&ours, held, &[8]),
            (None, Some("certificate-revoked")),
        ),
        // Two of one authority, as in a file to which the newer is added at either end.
        (list(&ours, held, &[]) + &list(&ours, held, &[8]), (None, Some("certificate-revoked"))),
        (list(&ours, held, &[8]) + &list(&ours, held, &[]), (None, Some("certificate-revoked"))),
    ];
    for demanded in [true, false] {
        let world = World::new(&[&ours], demanded);
        for version in [&version::TLS12, &version::TLS13] {
            for (lists, (first, second)) in &cases {
                world.inbound.revoke(Some(lists.as_bytes())).unwrap();
                for (shown, code) in [(&good, first), (&bad, second)] {
                    let taken = world.take(Some(again(shown)), version).await;
                    assert_eq!(taken.err(), code.map(Some), "{version:?} {demanded} {lists}");
                }
            }
            // None is worse than nothing: those from before go on.
            world.inbound.revoke(Some(list(&ours, held, &[8]).as_bytes())).unwrap();
            for text in ["", "nonsense", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"]
            {
                let revoked = world.inbound.revoke(Some(text.as_bytes()));
                assert!(matches!(revoked, Err(InboundError::Revoked)), "{text}");
            }
            let taken = world.take(Some(again(&bad)), version).await;
            assert_eq!(taken.err(), Some(Some("certificate-revoked")));
            world.inbound.revoke(None).unwrap();
            assert!(world.take(Some(again(&bad)), version).await.is_ok());
        }
    }
    assert!(Inbound::plain().revoke(Some(b"")).is_err() && Inbound::plain().revoke(None).is_ok());
}

#[tokio::test]
async fn an_authority_in_between_must_be_on_no_list_and_under_one_too() {
    let ours = lister("ours");
    let mut params = lister_params("between");
    params.serial_number = Some(SerialNumber::from_slice(&[9]));
    let between = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &*ours).unwrap();
    let mut shown = numbered(7, &between);
    shown.0.push(between.der().clone());
    let world = World::new(&[&ours], true);
    let held = (2024, 2040);
    for (lists, code) in [
        (list(&between, held, &[]), Some("certificate-on-no-list")),
        (list(&ours, held, &[]), Some("certificate-on-no-list")),
        (list(&ours, held, &[9]) + &list(&between, held, &[]), Some("certificate-revoked")),
        (list(&ours, held, &[]) + &list(&between, held, &[7]), Some("certificate-revoked")),
        (list(&ours, held, &[]) + &list(&between, held, &[]), None),
    ] {
        world.inbound.revoke(Some(lists.as_bytes())).unwrap();
        let taken = world.take(Some(again(&shown)), &version::TLS13).await;
        assert_eq!(taken.err(), code.map(Some), "{lists}");
    }
}

#[tokio::test]
async fn who_is_revoked_while_connected_falls_at_once() {
    let ours = lister("ours");
    let (good, bad) = (numbered(7, &ours), numbered(8, &ours));
    let world = World::new(&[&ours], true);
    let verifier = world.inbound.clients.clone().unwrap();
    let falls = |shown: &Shown| tokio::spawn(Arc::clone(&verifier).falls(shown.0.clone()));
    let (good, bad) = (falls(&good), falls(&bad));
    tokio::task::yield_now().await;
    assert!(!good.is_finished() && !bad.is_finished(), "there are no lists");
    let held = (2024, 2040);
    world.inbound.revoke(Some(list(&ours, held, &[8]).as_bytes())).unwrap();
    assert_eq!(bad.await.unwrap(), "certificate-revoked");
    assert!(!good.is_finished());
    world.inbound.revoke(Some(list(&ours, (2020, 2024), &[]).as_bytes())).unwrap();
    assert_eq!(good.await.unwrap(), "revocation-list-expired");
}
