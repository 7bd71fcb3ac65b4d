//! How does a run reach the network? Its authority, whom the box believes, and which secrets go where.

use super::not_started;
use crate::cmd::run::surroundings::Surroundings;
use crate::config::Config;
use crate::doors::net::Ways;
use crate::machine::random;
use crate::report::Failure;
use bartizan_egress::vault::Placeholders;
use bartizan_egress::{
    Allowances, Bound, Clients, Injector, Limits, Resolver, SessionCa, Terminator, TrustStore,
    Tunnel, TunnelLimits, Vault,
};
use bartizan_gate::name::RoleName;
use bartizan_sandbox::{Access, BoxSpec, SyntheticFile};
use bartizan_scan::ScanKey;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ways out, and what the box needs to use them.
pub(crate) struct WayOut {
    /// For the network door.
    pub(crate) ways: Ways,
    files: Vec<SyntheticFile>,
    env: Vec<(OsString, OsString)>,
}

impl WayOut {
    /// Makes a new authority and everything that hangs on it.
    pub(crate) fn new(
        config: &Config,
        around: &Surroundings,
        session: &str,
        (vault, placeholders, allowances): (Vault, Arc<Placeholders>, Arc<Allowances>),
    ) -> Result<Self, Failure> {
        let ca = SessionCa::new(session).map_err(|error| not_started(&error.to_string()))?;
        let trust = TrustStore::new(&ca, &system_roots(around));
        let egress = &config.egress;
        let bound = egress.injections.iter().map(|injection| {
            let (binding, place) = (injection.binding.clone(), injection.place.clone());
            Bound { binding, place }
        });
        let injector = Injector::new(vault, bound.collect(), placeholders, ScanKey::new(random()?));
        let terminator = Terminator::new(Arc::new(ca), Clients::system(), injector);
        let hosts = egress.hosts.iter();
        let tunnel = Tunnel::new(Resolver::system(), TunnelLimits::default());
        let ways = Ways {
            tunnel: tunnel.drawing_on(allowances),
            terminator: Arc::new(terminator),
            tls: hosts.filter_map(|(target, host)| Some((target.clone(), host.tls?))).collect(),
        };
        Ok(Self { ways, files: trust_files(&trust), env: trust_variables() })
    }

    /// Tells the box whom to believe.
    pub(crate) fn furnish(&mut self, spec: &mut BoxSpec) {
        spec.synthetic.append(&mut self.files);
        for (name, value) in self.env.drain(..) {
            spec.env.retain(|(own, _)| *own != name);
            spec.env.push((name, value));
        }
    }
}

/// What a session may take of the network, in all its boxes together.
pub(crate) fn allowances(config: &Config, role: &RoleName) -> Arc<Allowances> {
    let egress = &config.egress;
    let hosts = egress.hosts.iter().map(|(target, host)| (target.clone(), host.limits));
    let own = config.roles.get(role).and_then(|role| role.budget.bytes_out);
    let bytes_out = own.into_iter().chain(egress.limits.bytes_out).min();
    Arc::new(Allowances::new(Limits { bytes_out, ..egress.limits }, hosts))
}

/// The certificates that the person's own programs believe.
fn system_roots(around: &Surroundings) -> Vec<u8> {
    let named = around.text("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_BUNDLES.iter().map(PathBuf::from);
    named.into_iter().chain(usual).find_map(|path| std::fs::read(path).ok()).unwrap_or_default()
}

fn trust_files(trust: &TrustStore) -> Vec<SyntheticFile> {
    let file = |path: &str, contents: Vec<u8>| SyntheticFile {
        path: path.into(),
        contents,
        mode: 0o644,
        access: Access::ReadOnly,
    };
    let pem = trust.pem().into_bytes();
    let mut files = vec![
        file(OWN, trust.own_pem().into_bytes()),
        file(ROOTS, pem.clone()),
        file(JAVA, trust.java()),
    ];
    // Programs with a path of their own find the same there, where the machine has such a file at all.
    let present = SYSTEM_BUNDLES.iter().filter(|path| is_plain_file(Path::new(path)));
    files.extend(present.map(|path| file(path, pem.clone())));
    files
}

fn is_plain_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

fn trust_variables() -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> =
        TRUST_VARIABLES.iter().map(|name| (name.into(), ROOTS.into())).collect();
    // Node adds to its own list, Java takes a store.
    env.push(("NODE_EXTRA_CA_CERTS".into(), OWN.into()));
    env.push(("JAVA_TOOL_OPTIONS".into(), format!("-Djavax.net.ssl.trustStore={JAVA}").into()));
    env
}

const OWN: &str = "/etc/bartizan/ca.pem";
const ROOTS: &str = "/etc/bartizan/roots.pem";
const JAVA: &str = "/etc/bartizan/roots.jks";

/// Where distributions keep the certificates that OpenSSL, `GnuTLS` and Go believe.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// By these, OpenSSL and Go, curl, git, requests, pip, cargo, Deno and the AWS tools are told.
const TRUST_VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
];
