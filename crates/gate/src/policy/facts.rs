//! What may policies know of mail, networks, names, lists and sums, which Cedar cannot work out itself?

use super::eval::Query;
use crate::address::{Mailbox, Network};
use crate::tool::{Fact, ToolDef};
use cedar_policy::RestrictedExpression;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One recipient of a message, out of so many.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the gate builds it")]
pub struct EmailFact {
    /// The recipient that is judged.
    pub mailbox: Mailbox,
    /// How many the call names in all.
    pub recipients: u32,
}

/// The attributes of a tool's context that speak of such facts, for the schema.
pub(super) fn attributes(tool: &ToolDef, attributes: &mut BTreeMap<&'static str, Value>) {
    let mut add = |fact: Fact, name: &'static str, kind: Value| {
        if tool.has(fact) {
            let mut kind = kind;
            if let Value::Object(kind) = &mut kind {
                kind.insert("required".to_owned(), json!(!tool.may_lack(fact)));
            }
            attributes.insert(name, kind);
        }
    };
    let (text, long) = (json!({ "type": "String" }), json!({ "type": "Long" }));
    let flag = json!({ "type": "Boolean" });
    add(Fact::Amount, "amount", long.clone());
    add(Fact::Count, "count", long.clone());
    add(Fact::Email, "email", text.clone());
    add(Fact::Email, "email_domain", text.clone());
    add(Fact::Email, "recipients", long);
    add(Fact::Ip, "ip", text.clone());
    add(Fact::Ip, "ip_bits", text.clone());
    add(Fact::Ip, "ip_public", flag.clone());
    add(Fact::Ip, "ip_single", flag);
    add(Fact::Name, "name", text);
}

/// The same attributes with their values. A fact that must be there and is not is an error.
pub(super) fn pairs(
    query: &Query<'_>,
    pairs: &mut Vec<(&'static str, RestrictedExpression)>,
) -> Result<(), String> {
    let facts = query.facts;
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let long = RestrictedExpression::new_long;
    let flag = RestrictedExpression::new_bool;
    if wanted(query, Fact::Amount, "amount", facts.amount.is_some())? {
        pairs.extend(facts.amount.map(|amount| ("amount", long(amount))));
    }
    if wanted(query, Fact::Count, "count", facts.count.is_some())? {
        pairs.extend(facts.count.map(|count| ("count", long(count.into()))));
    }
    if wanted(query, Fact::Email, "mail address", facts.email.is_some())?
        && let Some(EmailFact { mailbox, recipients }) = &facts.email
    {
        pairs.push(("email", text(&mailbox.to_string())));
        pairs.push(("email_domain", text(mailbox.domain())));
        pairs.push(("recipients", long((*recipients).into())));
    }
    if wanted(query, Fact::Ip, "network address", facts.ip.is_some())?
        && let Some(network) = &facts.ip
    {
        pairs.push(("ip", text(&network.to_string())));
        pairs.push(("ip_bits", text(&network.bits())));
        pairs.push(("ip_public", flag(network.is_public())));
        pairs.push(("ip_single", flag(network.is_single())));
    }
    if wanted(query, Fact::Name, "name", facts.name.is_some())? {
        pairs.extend(facts.name.as_deref().map(|name| ("name", text(name))));
    }
    Ok(())
}

fn wanted(query: &Query<'_>, fact: Fact, what: &str, there: bool) -> Result<bool, String> {
    if !query.tool.has(fact) {
        return Ok(false);
    }
    if !there && !query.tool.may_lack(fact) {
        let tool = query.tool.name();
        return Err(format!("the gate did not work out the {what} of a call of `{tool}`"));
    }
    Ok(true)
}

/// The text that a short form's pattern is compared with.
pub(super) fn target(query: &Query<'_>, fact: Fact) -> Option<String> {
    match fact {
        Fact::Email => query.facts.email.as_ref().map(|email| email.mailbox.to_string()),
        Fact::Ip => query.facts.ip.as_ref().map(Network::to_string),
        Fact::Name => query.facts.name.clone(),
        Fact::Amount | Fact::Command | Fact::Count | Fact::Host | Fact::Path => None,
    }
}
