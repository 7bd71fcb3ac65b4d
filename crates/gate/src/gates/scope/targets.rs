//! Which things does this call point at? Every one of them, canonical; a call is judged for each.

use super::url_target;
use crate::address::{Mailbox, Network};
use crate::name::{Host, HostPort};
use crate::policy::{CommandFact, EmailFact, Facts, HostFact, PathFact};
use crate::refusal::Refusal;
use crate::seat::Seat;
use crate::tool::{Target, TargetKind, ToolDef};
use bartizan_scan::{Mode, sanitise};
use serde_json::Value;

/// Everything that a call's arguments point at, in the order of the tool's targets.
#[derive(Debug, Default)]
pub(super) struct Found {
    paths: Vec<PathFact>,
    hosts: Vec<HostPort>,
    /// The one host that the tool always reaches.
    fixed: Option<HostPort>,
    commands: Vec<CommandFact>,
    mailboxes: Vec<Mailbox>,
    networks: Vec<Network>,
    names: Vec<String>,
    amount: Option<i64>,
    count: Option<u32>,
    shown: Vec<String>,
}

impl Found {
    pub(super) fn read(tool: &ToolDef, seat: &Seat, arguments: &Value) -> Result<Self, Refusal> {
        let mut found = Self::default();
        for target in tool.targets() {
            found.target(tool, seat, target, arguments)?;
        }
        if let Some(fixed) = tool.reach() {
            declared(tool, seat, fixed)?;
            found.fixed = Some(fixed.clone());
        }
        Ok(found)
    }

    fn target(
        &mut self,
        tool: &ToolDef,
        seat: &Seat,
        target: &Target,
        arguments: &Value,
    ) -> Result<(), Refusal> {
        let given = arguments.get(target.field());
        let invalid = |what: String| Refusal::ArgumentsInvalid {
            tool: tool.name().to_string(),
            what: format!("`/{}`: {what}", target.field().escape_default()),
        };
        match target.kind() {
            TargetKind::Amount => {
                let hundredths = given.filter(|given| !given.is_null()).map(hundredths).transpose();
                self.amount = self.amount.max(hundredths.map_err(|what| invalid(what.to_owned()))?);
                return Ok(());
            }
            TargetKind::Count => {
                let length = given.and_then(Value::as_array).map_or(0, Vec::len);
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                self.count = Some(self.count.unwrap_or(0).saturating_add(length));
                return Ok(());
            }
            _ => {}
        }
        for text in texts(given, absent(target.kind())) {
            match target.kind() {
                TargetKind::Path => self.path(seat, text)?,
                TargetKind::Command => self.command(seat, text),
                TargetKind::Host => self.host(tool, seat, connection(text, arguments)?)?,
                TargetKind::Url => {
                    let target = url_target(text).map_err(invalid)?;
                    self.host(tool, seat, target)?;
                }
                TargetKind::Email => {
                    let mailboxes =
                        Mailbox::list(text).map_err(|error| invalid(error.to_string()))?;
                    self.shown.extend(mailboxes.iter().map(ToString::to_string));
                    self.mailboxes.extend(mailboxes);
                }
                TargetKind::Ip => {
                    let network =
                        Network::parse(text).map_err(|error| invalid(error.to_string()))?;
                    self.shown.push(network.to_string());
                    self.networks.push(network);
                }
                TargetKind::Name => {
                    plain(text).map_err(|what| invalid(what.to_owned()))?;
                    self.shown.push(text.to_owned());
                    self.names.push(text.to_owned());
                }
                TargetKind::Amount | TargetKind::Count => {}
            }
        }
        Ok(())
    }

    fn path(&mut self, seat: &Seat, text: &str) -> Result<(), Refusal> {
        let path = seat.path(text).map_err(|source| Refusal::PathInvalid { source })?;
        let below = path.below(&seat.workspace);
        let fact = PathFact {
            in_workspace: below.is_some(),
            visible: below.is_some() || seat.shows(&path),
            guarded: below.as_deref().is_some_and(super::is_guarded),
            path: below.unwrap_or_else(|| path.to_string()),
        };
        self.shown.push(fact.path.clone());
        self.paths.push(fact);
        Ok(())
    }

    fn command(&mut self, seat: &Seat, text: &str) {
        let credentials = super::names_credentials(text, &seat.home);
        self.shown.push(text.to_owned());
        self.commands.push(CommandFact { command: text.to_owned(), credentials });
    }

    fn host(&mut self, tool: &ToolDef, seat: &Seat, target: HostPort) -> Result<(), Refusal> {
        declared(tool, seat, &target)?;
        self.shown.push(target.to_string());
        self.hosts.push(target);
        Ok(())
    }

    /// The one host that the call may reach, when it is one.
    pub(super) fn sole_host(&self) -> Option<&HostPort> {
        match (&self.fixed, self.hosts.as_slice()) {
            (Some(fixed), _) => Some(fixed),
            (None, [one]) => Some(one),
            (None, _) => None,
        }
    }

    /// What the call acts on, in one line.
    pub(super) fn line(&self) -> Option<String> {
        let shown = (!self.shown.is_empty()).then(|| self.shown.join(", "));
        shown.or_else(|| self.fixed.as_ref().map(ToString::to_string))
    }

    /// Facts for every combination of targets, so that no policy sees one of them only beside another.
    /// A call that points at too many things to be judged one by one is refused.
    pub(super) fn facts(self, tool: &ToolDef) -> Result<Vec<Facts>, Refusal> {
        let Self { paths, mut hosts, fixed, commands, mailboxes, networks, names, .. } = self;
        let (amount, count) = (self.amount, self.count);
        // What the arguments point at stays what policies see.
        if hosts.is_empty() {
            hosts.extend(fixed);
        }
        let recipients = u32::try_from(mailboxes.len()).unwrap_or(u32::MAX);
        let mut all = vec![Facts { amount, count, ..Facts::default() }];
        spread(&mut all, &paths, |facts, path| facts.path = Some(path));
        spread(&mut all, &hosts, |facts, host| {
            let (private, port) = (host.host().is_private(), host.port());
            facts.host = Some(HostFact { host: host.host().to_string(), port, private });
        });
        spread(&mut all, &commands, |facts, command| facts.command = Some(command));
        spread(&mut all, &mailboxes, |facts, mailbox| {
            facts.email = Some(EmailFact { mailbox, recipients });
        });
        spread(&mut all, &networks, |facts, network| facts.ip = Some(network));
        spread(&mut all, &names, |facts, name| facts.name = Some(name));
        if all.len() > COMBINATIONS_MAX {
            return Err(Refusal::ArgumentsInvalid {
                tool: tool.name().to_string(),
                what: format!(
                    "it points at more than {COMBINATIONS_MAX} things; make several calls"
                ),
            });
        }
        Ok(all)
    }
}

/// A private address is refused here, before any policy, unless the configuration declares it.
fn declared(tool: &ToolDef, seat: &Seat, target: &HostPort) -> Result<(), Refusal> {
    if target.host().is_private() && !seat.declares(tool.server(), target) {
        return Err(Refusal::HostPrivate { host: target.host().to_string() });
    }
    Ok(())
}

/// Each of `all` with each of `values`; nothing is built far beyond what will be refused.
fn spread<T: Clone>(all: &mut Vec<Facts>, values: &[T], put: impl Fn(&mut Facts, T)) {
    if values.is_empty() || all.len() > COMBINATIONS_MAX {
        return;
    }
    let pairs = all.iter().flat_map(|facts| values.iter().map(move |value| (facts, value)));
    let next = pairs.take(COMBINATIONS_MAX + 1).map(|(facts, value)| {
        let mut facts = facts.clone();
        put(&mut facts, value.clone());
        facts
    });
    *all = next.collect();
}

/// What an argument that is not given means: the working directory, or nothing.
fn absent(kind: TargetKind) -> Option<&'static str> {
    match kind {
        TargetKind::Path => Some("."),
        TargetKind::Command | TargetKind::Host | TargetKind::Url => Some(""),
        TargetKind::Amount
        | TargetKind::Count
        | TargetKind::Email
        | TargetKind::Ip
        | TargetKind::Name => None,
    }
}

fn texts<'a>(given: Option<&'a Value>, absent: Option<&'a str>) -> Vec<&'a str> {
    match given {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => absent.into_iter().collect(),
    }
}

fn connection(text: &str, arguments: &Value) -> Result<HostPort, Refusal> {
    let host = Host::parse(text).map_err(|source| Refusal::HostInvalid { source })?;
    let port = arguments
        .get("port")
        .and_then(Value::as_u64)
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(443);
    HostPort::new(host, port).map_err(|source| Refusal::HostInvalid { source })
}

/// A name has one look: no line breaks, nothing invisible, nothing that only looks like a space.
fn plain(text: &str) -> Result<(), &'static str> {
    let odd = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
    if text.is_empty() || text.len() > NAME_MAX {
        return Err("a name has 1 to 1024 bytes");
    }
    if text.chars().any(odd) || !sanitise(text, Mode::Person).1.is_empty() {
        return Err("it has invisible characters");
    }
    Ok(())
}

/// A number in hundredths, rounded away from zero: never less than what is meant.
fn hundredths(given: &Value) -> Result<i64, &'static str> {
    let text = given.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(rest) {
        return Err("it is not a plain number");
    }
    let cents = format!("{whole}{:0<2}", rest.chars().take(2).collect::<String>());
    let cents: i64 = cents.parse().map_err(|_| "it is too large")?;
    let more = rest.bytes().skip(2).any(|b| b != b'0');
    let cents = cents.checked_add(i64::from(more)).ok_or("it is too large")?;
    Ok(sign * cents)
}

/// Most things that one call is judged for.
const COMBINATIONS_MAX: usize = 128;
/// Longest name of a thing.
const NAME_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_amount_is_never_less_than_what_is_meant() {
        for (given, cents) in [
            (json!(12), 1200),
            (json!(12.34), 1234),
            (json!(0.1), 10),
            (json!(12.341), 1235),
            (json!(0.001), 1),
            (json!(-1.005), -101),
            (json!(0), 0),
            (json!(100.0), 10_000),
        ] {
            assert_eq!(hundredths(&given), Ok(cents), "{given}");
        }
        for given in [json!(1e300), json!(1e-9), json!("12"), json!(null), json!(u64::MAX)] {
            assert!(hundredths(&given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_name_has_one_look() {
        for text in ["main", "feature/x", "CH93 0076", "Zoë", "général"] {
            assert!(plain(text).is_ok(), "{text}");
        }
        for text in ["", "a\nb", "a\u{200b}", "a\u{202e}b", "a\u{a0}b", "a\tb", "\u{e0061}"] {
            assert!(plain(text).is_err(), "{text:?}");
        }
    }
}
