//! How is a host reached, and with whose key? What stands under `[hosts]`, `[[inject]]` and `[egress]`.

use super::check::Flaw;
use super::page::{Page, name_flaw};
use super::raw::{At, RawEgress, RawHost, RawInject, Table};
use super::units;
use crate::report::{Excerpt, Problem, did_you_mean};
use bartizan_egress::{Limits, Place};
use bartizan_gate::name::{HostPort, SecretName};
use bartizan_gate::seat::Binding;
use bartizan_gate::url_path::UrlPath;
use std::collections::BTreeMap;

/// What was configured of the way out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Egress {
    /// Hosts of which something is said.
    pub(crate) hosts: BTreeMap<HostPort, HostSettings>,
    /// Which secret goes where.
    pub(crate) injections: Vec<Injection>,
    /// Limits of a session as a whole.
    pub(crate) limits: Limits,
}

/// What is said of one host and port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HostSettings {
    /// Whether it may be reached although it is not public.
    pub(crate) private: bool,
    /// What is done with TLS to it; nothing said means what its port says.
    pub(crate) tls: Option<HostTls>,
    /// How much it may take in one session.
    pub(crate) limits: Limits,
}

/// What is done with TLS to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostTls {
    /// It passes unread, and nothing of ours goes with it.
    PassThrough,
    /// It ends at the egress, and nothing else passes on that port.
    Terminate,
}

/// One secret, where it may go, and how.
#[derive(Debug, Clone)]
pub(crate) struct Injection {
    /// Which requests it goes with.
    pub(crate) binding: Binding,
    /// Where they carry it.
    pub(crate) place: Place,
    at: Excerpt,
}

impl Egress {
    /// The hosts that may be reached although they are not public.
    pub(crate) fn private(&self) -> impl Iterator<Item = &HostPort> {
        self.hosts.iter().filter(|(_, host)| host.private).map(|(target, _)| target)
    }

    pub(super) fn hosts(&mut self, page: &mut Page<'_>, raw: &Table<RawHost>) {
        for (name, host) in raw {
            let target = page.take(name, |text| host_port(text, "[hosts.\"host:port\"]"));
            let Some(target) = target else { continue };
            let settings = self.hosts.entry(target).or_default();
            let RawHost { private, tls, requests, bytes_out, max_body } = host;
            if let Some(private) = private {
                settings.private = *private.get_ref();
            }
            if let Some(tls) = page.take_option(tls.as_ref(), |text| host_tls(text)) {
                settings.tls = Some(tls);
            }
            limits(page, &mut settings.limits, (requests.as_ref(), bytes_out.as_ref()));
            if let Some(body) = size(page, max_body.as_ref()) {
                settings.limits.body = Some(body);
            }
            let unread = settings.tls == Some(HostTls::PassThrough);
            if let (true, Some(max_body)) = (unread, max_body) {
                let what = "nobody sees where a body ends in TLS that passes unread";
                let hint = "take `max_body` or `tls = \"passthrough\"` out; `bytes_out` counts all that leaves";
                page.complain(max_body.span(), Problem::new(what).hint(hint));
            }
        }
    }

    pub(super) fn session(&mut self, page: &mut Page<'_>, raw: &RawEgress) {
        let RawEgress { requests, bytes_out, max_body } = raw;
        limits(page, &mut self.limits, (requests.as_ref(), bytes_out.as_ref()));
        if let Some(body) = size(page, max_body.as_ref()) {
            self.limits.body = Some(body);
        }
    }

    pub(super) fn inject(&mut self, page: &mut Page<'_>, raw: &[At<RawInject>]) {
        for entry in raw {
            let RawInject { secret, host, place, methods, path } = entry.get_ref();
            let name = page
                .take(secret, |text| SecretName::parse(text).map_err(|error| name_flaw(&error)));
            let target = page.take(host, |text| host_port(text, "host = \"api.example.com:443\""));
            let place = page
                .take(place, |text| Place::parse(text).map_err(|error| (error.to_string(), None)));
            let methods: Vec<Option<String>> = methods
                .iter()
                .flat_map(At::get_ref)
                .map(|given| page.take(given, |text| method(text)))
                .collect();
            let below = match path {
                Some(path) => page.take(path, |text| below(text)),
                None => Some("/".to_owned()),
            };
            let methods: Option<Vec<String>> = methods.into_iter().collect();
            let (Some(secret), Some(target), Some(place), Some(methods), Some(below)) =
                (name, target, place, methods, below)
            else {
                continue;
            };
            let at = page.at(entry.get_ref().secret.span());
            let binding = Binding { secret, target, methods, below };
            self.injections.push(Injection { binding, place, at });
        }
    }

    /// What only all layers together can show to be wrong.
    pub(super) fn check<'a>(
        &self,
        secrets: &(impl Iterator<Item = &'a SecretName> + Clone),
        problems: &mut Vec<Problem>,
    ) {
        for injection in &self.injections {
            let Binding { secret, target, .. } = &injection.binding;
            if !secrets.clone().any(|known| known == secret) {
                let problem = Problem::new(format!("there is no secret `{secret}`"));
                let problem = problem.at(injection.at.clone());
                let likely = did_you_mean(secret.as_str(), secrets.clone().map(SecretName::as_str));
                problems.push(match likely {
                    Some(likely) => problem.hint(format!("did you mean `{likely}`?")),
                    None => problem.hint(format!("define it: [secrets.{secret}]")),
                });
            }
            let tls = self.hosts.get(target).and_then(|host| host.tls);
            if tls == Some(HostTls::PassThrough) {
                let what = format!("nothing can be added to `{target}`, whose TLS passes unread");
                let problem = Problem::new(what).at(injection.at.clone());
                let hint = format!("take `tls = \"passthrough\"` out of [hosts.\"{target}\"]");
                problems.push(problem.hint(hint));
            }
        }
    }
}

fn host_port(text: &str, example: &str) -> Result<HostPort, Flaw> {
    HostPort::parse(text).map_err(|error| (error.to_string(), Some(format!("write {example}"))))
}

fn host_tls(text: &str) -> Result<HostTls, Flaw> {
    match text {
        "passthrough" => Ok(HostTls::PassThrough),
        "terminate" => Ok(HostTls::Terminate),
        _ => Err((
            format!("`{text}` is nothing that is done with TLS"),
            Some("write \"terminate\" or \"passthrough\"".to_owned()),
        )),
    }
}

fn limits(
    page: &mut Page<'_>,
    limits: &mut Limits,
    (requests, bytes_out): (Option<&At<u64>>, Option<&At<String>>),
) {
    if let Some(requests) = requests {
        limits.requests = Some(*requests.get_ref());
    }
    let bytes = size(page, bytes_out);
    if bytes.is_some() {
        limits.bytes_out = bytes;
    }
}

fn size(page: &mut Page<'_>, given: Option<&At<String>>) -> Option<u64> {
    page.take_option(given, |text| {
        units::size(text).map_err(|hint| (format!("`{text}` is no size"), Some(hint.to_owned())))
    })
}

fn method(text: &str) -> Result<String, Flaw> {
    let fits = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    if fits {
        return Ok(text.to_owned());
    }
    Err((format!("`{text}` is no HTTP method"), Some("write it in capitals: \"GET\"".to_owned())))
}

fn below(text: &str) -> Result<String, Flaw> {
    let hint =
        || Some("write a plain path; all that lies below it is meant: \"/repos/acme\"".to_owned());
    match UrlPath::parse(text) {
        Ok(path) if path.judged() == text => Ok(text.to_owned()),
        Ok(_) => Err((format!("`{text}` is not in canonical form"), hint())),
        Err(error) => Err((error.to_string(), hint())),
    }
}
