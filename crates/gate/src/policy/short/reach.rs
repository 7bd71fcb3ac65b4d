//! What does a pattern mean for a recipient, a network or a name? `*@acme.com`, `203.0.113.0/24`, `feature/*`.

use super::{Flaw, Target, compare, flaw, quote, tame};
use crate::address::{Mailbox, Network};
use crate::name::Host;
use crate::policy::RuleVerdict;
use crate::tool::Fact;

pub(super) fn email(pattern: &str, verdict: RuleVerdict) -> Result<Target, Flaw> {
    let lower = pattern.to_ascii_lowercase();
    let remedy = "write `name@domain`, `*@domain`, `*@*.domain` or `*`";
    let condition = match lower.strip_prefix("*@") {
        _ if lower == "*" => "true".to_owned(),
        Some(domain) if !domain.contains('*') => {
            let host = Host::parse(domain).ok().filter(|host| host.name().is_some());
            let host =
                host.ok_or_else(|| flaw(format!("`{}` is no mail domain", tame(domain)), remedy))?;
            format!("context.email_domain == {}", quote(&host.to_string()))
        }
        Some(domain) => {
            let below = domain.strip_prefix("*.").filter(|domain| Host::parse(domain).is_ok());
            let below = below.ok_or_else(|| {
                flaw(format!("`{}` also matches domains that are not meant", tame(pattern)), remedy)
            })?;
            format!("context.email_domain like \"*.{below}\"")
        }
        None if lower.contains('*') && verdict == RuleVerdict::Deny => {
            compare("email", &lower).condition
        }
        None => {
            let mailbox =
                Mailbox::parse(&lower).map_err(|error| flaw(error.to_string(), remedy))?;
            return Ok(compare("email", &mailbox.to_string()));
        }
    };
    Ok(Target { condition, reach: None, literal: None })
}

pub(super) fn ip(pattern: &str, verdict: RuleVerdict) -> Result<Target, Flaw> {
    let word =
        |condition: &str| Target { condition: condition.to_owned(), reach: None, literal: None };
    match (pattern, verdict) {
        ("*", _) => return Ok(word("true")),
        ("public", RuleVerdict::Allow | RuleVerdict::Ask { .. }) => {
            return Ok(word("context.ip_public"));
        }
        ("private", RuleVerdict::Ask { .. } | RuleVerdict::Deny) => {
            return Ok(word("!context.ip_public"));
        }
        ("public" | "private", _) => {
            return Err(flaw(
                format!("a block of addresses can hold both, so `{pattern}` is not certain here"),
                "allow `public`, deny `private`, or name the networks",
            ));
        }
        _ => {}
    }
    let network = Network::parse(pattern).map_err(|error| {
        flaw(error.to_string(), "write an address, a network such as `203.0.113.0/24`, or `public`")
    })?;
    let bits = network.bits();
    let inside = format!("context.ip_bits like \"{bits}*\"");
    // Whoever names a block that holds a forbidden address names that address.
    let around: Vec<String> =
        (2..bits.len()).filter_map(|end| bits.get(..end)).map(quote).collect();
    let meets = format!("({inside} || [{}].contains(context.ip_bits))", around.join(", "));
    let meets = if around.is_empty() { inside.clone() } else { meets };
    Ok(Target { condition: inside, reach: Some(meets), literal: None })
}

/// Without this fact there is nothing to compare: the form does not match.
pub(super) fn guarded(target: Target, fact: Fact) -> Target {
    let name = match fact {
        Fact::Email => "email",
        Fact::Ip => "ip",
        Fact::Name => "name",
        Fact::Amount | Fact::Command | Fact::Count | Fact::Host | Fact::Path => return target,
    };
    let guard = |condition: &str| format!("context has {name} && {condition}");
    Target {
        condition: guard(&target.condition),
        reach: target.reach.as_deref().map(guard),
        literal: target.literal,
    }
}
