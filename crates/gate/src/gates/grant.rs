//! Which hosts and secrets would the act get? Computed from the checked arguments alone.

use crate::gates::{Listed, Scoped};
use crate::name::{HostPort, SecretName};
use crate::seat::{Binding, Seat};
use serde_json::Value;

/// What the act may reach and use, and nothing else.
#[derive(Debug)]
pub(crate) struct Granted {
    host: Option<HostPort>,
    secret: Option<SecretName>,
}

impl Granted {
    pub(crate) fn host(&self) -> Option<&HostPort> {
        self.host.as_ref()
    }

    pub(crate) fn secret(&self) -> Option<&SecretName> {
        self.secret.as_ref()
    }
}

pub(crate) fn compute(listed: &Listed, scoped: &Scoped, seat: &Seat) -> Granted {
    let model = listed.tool().server().as_str() == "model";
    let secret = match listed.tool().name().as_str() {
        _ if listed.tool().secret().is_some() => listed.tool().secret().cloned(),
        "net.connect" => scoped.host().and_then(|host| seat.login(host)).cloned(),
        "net.request" => bound(scoped, seat),
        _ if model => seat.model_secret.clone(),
        _ => None,
    };
    Granted { host: scoped.host().cloned(), secret }
}

fn bound(scoped: &Scoped, seat: &Seat) -> Option<SecretName> {
    let text = |name: &str| scoped.arguments().get(name).and_then(Value::as_str);
    let (scheme, method, path) = (text("scheme")?, text("method")?, text("path")?);
    let target = scoped.host()?;
    let fits = |binding: &&Binding| binding.covers(scheme == "https", target, method, path);
    seat.credentials.iter().find(fits).map(|binding| binding.secret.clone())
}
