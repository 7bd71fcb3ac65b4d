//! Which hosts and secrets would the act get? Computed from the checked arguments alone.

use crate::gates::{Listed, Scoped};
use crate::name::{HostPort, SecretName};
use crate::seat::Seat;

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
        "net.connect" => scoped.host().and_then(|host| seat.login(host)).cloned(),
        _ if model => seat.model_secret.clone(),
        _ => None,
    };
    Granted { host: scoped.host().cloned(), secret }
}
