//! What does the file say, word for word? TOML into the shape as typed, every value with its place.

use super::approvals::RawApprovals;
use super::raw_secret::{RawCanary, RawSecret, RawVault};
use super::raw_server::RawServer;
use super::second_opinion::RawSecondOpinion;
use super::{mistakes, units};
use crate::report::{Excerpt, Problem, did_you_mean};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use toml::Spanned;

/// A value and where it stands.
pub(super) type At<T> = Spanned<T>;

/// A table whose keys keep their places.
pub(super) type Table<T> = BTreeMap<At<String>, T>;

/// `bartizan.toml` as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) default_role: Option<At<String>>,
    #[serde(default)]
    pub(super) roles: Table<RawRole>,
    pub(super) model: Option<At<RawModel>>,
    #[serde(default)]
    pub(super) secrets: Table<RawSecret>,
    #[serde(default)]
    pub(super) canaries: Table<RawCanary>,
    pub(super) vault: Option<At<RawVault>>,
    pub(super) approvers: Option<At<RawApprovers>>,
    pub(super) approvals: Option<At<RawApprovals>>,
    #[serde(default)]
    pub(super) hosts: Table<RawHost>,
    #[serde(default)]
    pub(super) inject: Vec<At<RawInject>>,
    pub(super) egress: Option<At<RawEgress>>,
    pub(super) serve: Option<At<RawServe>>,
    pub(super) audit: Option<At<RawAudit>>,
    pub(super) console: Option<At<RawConsole>>,
    pub(super) notify: Option<At<RawNotify>>,
    pub(super) second_opinion: Option<At<RawSecondOpinion>>,
    #[serde(default)]
    pub(super) limits: Vec<At<RawLimit>>,
    #[serde(default)]
    pub(super) servers: Table<RawServer>,
    #[serde(default)]
    pub(super) tools: Table<RawTool>,
}

/// `[tools.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTool {
    pub(super) description: At<String>,
    pub(super) effect: Option<At<String>>,
    #[serde(default)]
    pub(super) input: Table<RawInput>,
    pub(super) result: Option<At<Vec<At<String>>>>,
    pub(super) answer: Option<At<String>>,
    pub(super) timeout: Option<At<String>>,
    pub(super) http: Option<At<RawHttpTool>>,
    pub(super) command: Option<At<RawCommandTool>>,
}

/// `[tools.NAME.input.INPUT]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    #[serde(rename = "type")]
    pub(super) kind: At<String>,
    pub(super) description: Option<At<String>>,
    pub(super) required: Option<At<bool>>,
    #[serde(rename = "enum")]
    pub(super) choices: Option<At<Vec<At<String>>>>,
    pub(super) pattern: Option<At<String>>,
    pub(super) min: Option<At<i64>>,
    pub(super) max: Option<At<i64>>,
    pub(super) max_length: Option<At<u64>>,
    pub(super) many: Option<At<u64>>,
    pub(super) domains: Option<At<Vec<At<String>>>>,
    pub(super) public: Option<At<bool>>,
    pub(super) lines: Option<At<bool>>,
    pub(super) allow_slash: Option<At<bool>>,
    pub(super) allow_dash: Option<At<bool>>,
    pub(super) target: Option<At<String>>,
}

/// `[tools.NAME.http]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttpTool {
    pub(super) method: At<String>,
    pub(super) url: At<String>,
    #[serde(default)]
    pub(super) query: Table<At<String>>,
    #[serde(default)]
    pub(super) headers: Table<At<String>>,
    pub(super) json: Option<At<serde_json::Value>>,
    pub(super) form: Option<At<Table<At<String>>>>,
    pub(super) secret: Option<At<String>>,
    #[serde(rename = "as")]
    pub(super) place: Option<At<String>>,
    pub(super) idempotency_header: Option<At<String>>,
}

/// `[tools.NAME.command]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCommandTool {
    pub(super) argv: At<Vec<At<String>>>,
    pub(super) network: Option<At<String>>,
    pub(super) workspace: Option<At<String>>,
}

/// `[roles.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRole {
    pub(super) extends: Option<At<Vec<At<String>>>>,
    #[serde(default)]
    pub(super) allow: Vec<At<RawRule>>,
    #[serde(default)]
    pub(super) ask: Vec<At<RawRule>>,
    #[serde(default)]
    pub(super) deny: Vec<At<RawRule>>,
    pub(super) subagents: Option<At<Table<At<String>>>>,
    #[serde(default, rename = "box")]
    pub(super) enclosure: RawBox,
    pub(super) budget: Option<At<RawBudget>>,
    pub(super) way_out: Option<At<RawWayOut>>,
}

/// `[roles.NAME.way_out]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWayOut {
    pub(super) frame: Option<At<String>>,
    pub(super) sanitise: Option<At<Table<At<String>>>>,
}

/// `[roles.NAME.budget]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBudget {
    pub(super) model_tokens: Option<At<u64>>,
    pub(super) model_requests: Option<At<u64>>,
    pub(super) tool_calls: Option<At<u64>>,
    pub(super) bytes_out: Option<At<Size>>,
}

/// A size in bytes, as `"64KiB"`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Size(pub(super) u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        units::size(&text).map(Self).map_err(|hint| format!("`{text}` is no size; {hint}"))
    }
}

/// `[roles.NAME.box]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBox {
    pub(super) workspace: Option<At<String>>,
    pub(super) folder: Option<At<String>>,
    pub(super) rest: Option<At<String>>,
    pub(super) network: Option<At<String>>,
    pub(super) readable: Option<At<Vec<At<String>>>>,
    pub(super) env: Option<At<Vec<At<String>>>>,
    pub(super) memory: Option<At<String>>,
    pub(super) pids: Option<At<u64>>,
    pub(super) cpu: Option<At<String>>,
    pub(super) wall: Option<At<String>>,
    pub(super) file_size: Option<At<String>>,
    pub(super) open_files: Option<At<u64>>,
    pub(super) overlay_size: Option<At<String>>,
    pub(super) output: Option<At<String>>,
}

/// `[model]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    pub(super) upstream: Option<At<String>>,
    pub(super) credential: Option<At<String>>,
    pub(super) secret: Option<At<String>>,
    pub(super) header: Option<At<String>>,
    pub(super) provider: Option<At<String>>,
    pub(super) region: Option<At<String>>,
    pub(super) project: Option<At<String>>,
}

/// `[approvers]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApprovers {
    pub(super) people: Vec<At<String>>,
}

/// `[hosts."host:port"]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHost {
    pub(super) private: Option<At<bool>>,
    pub(super) tls: Option<At<String>>,
    pub(super) requests: Option<At<u64>>,
    pub(super) bytes_out: Option<At<String>>,
    pub(super) max_body: Option<At<String>>,
}

/// One `[[inject]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInject {
    pub(super) secret: At<String>,
    pub(super) host: At<String>,
    #[serde(rename = "as")]
    pub(super) place: At<String>,
    pub(super) methods: Option<At<Vec<At<String>>>>,
    pub(super) path: Option<At<String>>,
}

/// `[egress]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEgress {
    pub(super) requests: Option<At<u64>>,
    pub(super) bytes_out: Option<At<String>>,
    pub(super) max_body: Option<At<String>>,
}

/// One `[[limits]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimit {
    pub(super) role: Option<At<String>>,
    pub(super) tool: Option<At<String>>,
    pub(super) per_minute: Option<At<u64>>,
    pub(super) per_session: Option<At<u64>>,
    pub(super) per_day: Option<At<u64>>,
}

/// `[console]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsole {
    pub(super) origin: At<String>,
    pub(super) tls_cert: At<String>,
    pub(super) tls_key: At<String>,
    #[serde(default)]
    pub(super) require_passkey: bool,
}

/// `[serve]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServe {
    pub(super) hosts: Option<At<Vec<At<String>>>>,
    pub(super) origins: Option<At<Vec<At<String>>>>,
    pub(super) mtls: Option<At<RawMtls>>,
    pub(super) oauth: Option<At<RawIssuer>>,
}

/// `[serve.mtls]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMtls {
    pub(super) demand: Option<At<String>>,
    pub(super) revoked: Option<At<String>>,
    #[serde(default)]
    pub(super) roles: Vec<At<RawCertified>>,
}

/// One `[[serve.mtls.roles]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCertified {
    pub(super) dns: Option<At<String>>,
    pub(super) uri: Option<At<String>>,
    pub(super) role: At<String>,
}

/// `[serve.oauth]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub(super) issuer: At<String>,
    pub(super) audience: At<String>,
    pub(super) jwks: At<String>,
    pub(super) algorithms: Option<At<Vec<At<String>>>>,
    pub(super) leeway: Option<At<String>>,
    #[serde(default)]
    pub(super) roles: Vec<At<RawClaim>>,
}

/// One `[[serve.oauth.roles]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClaim {
    pub(super) claim: At<String>,
    pub(super) has: At<String>,
    pub(super) role: At<String>,
}

/// `[audit]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    pub(super) require_anchor: Option<At<String>>,
    pub(super) require_anchor_records: Option<At<u64>>,
    pub(super) keep_free: Option<At<String>>,
}

/// `[notify]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    pub(super) desktop: Option<At<String>>,
    pub(super) console: Option<At<String>>,
    #[serde(default)]
    pub(super) webhooks: Table<RawWebhook>,
}

/// `[notify.webhooks.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWebhook {
    pub(super) url: At<String>,
    pub(super) path_secret: Option<At<String>>,
    pub(super) secret: At<String>,
    pub(super) on: Option<At<Vec<At<String>>>>,
    pub(super) internal: Option<At<bool>>,
}

/// One entry of `allow`, `ask` or `deny`: a pattern, or a table with a quorum or a condition.
#[derive(Debug)]
pub(super) struct RawRule {
    pub(super) tool: String,
    pub(super) quorum: Option<At<u64>>,
    pub(super) when: Option<String>,
}

impl<'de> Deserialize<'de> for RawRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RuleVisitor)
    }
}

/// By hand, since an untagged enum would lose both the places and the reasons.
struct RuleVisitor;

impl<'de> Visitor<'de> for RuleVisitor {
    type Value = RawRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tool such as \"Read(src/*)\", or { tool = \"…\", quorum = 2, when = \"…\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawRule, E> {
        Ok(RawRule { tool: text.to_owned(), quorum: None, when: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRule, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            tool: String,
            quorum: Option<At<u64>>,
            when: Option<String>,
        }
        let full = Full::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let Full { tool, quorum, when } = full;
        Ok(RawRule { tool, quorum, when })
    }
}

/// Reads `source`, the contents of `file`.
pub(super) fn parse(file: &Path, source: &str) -> Result<RawConfig, Vec<Problem>> {
    toml::from_str(source).map_err(|error| mistakes::all(file, source, error))
}

/// Turns the parser's words into ours, with the word that was probably meant.
pub(super) fn explain(file: &Path, source: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let excerpt = Excerpt::new(file, source, span.start, span.end);
    // The parser speaks Rust; a person does not have to.
    let message = error.message().trim_end();
    let message = message
        .replace("expected u64", "expected a whole number")
        .replace("expected a sequence", "expected a list");
    let message = message.replace("missing field", "missing key");
    let message = message.as_str();
    let Some((given, known)) = unknown_key(message) else {
        let (what, rest) = message.split_once('\n').unwrap_or((message, ""));
        let problem = Problem::new(first_lower(what)).at(excerpt);
        return if rest.is_empty() { problem } else { problem.hint(rest.replace('\n', "; ")) };
    };
    let problem = Problem::new(format!("unknown key `{given}`")).at(excerpt);
    let likely = did_you_mean(given, known.iter().copied());
    match likely {
        Some(likely) => problem.hint(format!("did you mean `{likely}`?")),
        None => problem.hint(format!("known here: {}", known.join(", "))),
    }
}

/// Takes serde's sentence about an unknown field apart: the field, and the known ones.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (given, rest) = rest.split_once('`')?;
    // Between back-ticks stand the known names; between those, words.
    let known = rest.split('`').skip(1).step_by(2).collect();
    Some((given, known))
}

fn first_lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str) -> String {
        let problems = parse(Path::new("bartizan.toml"), source).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_value_keeps_its_place() {
        let source =
            "[roles.coder]\nallow = [\n  \"Read\",\n  { tool = \"Bash\", quorum = 2 },\n]\n";
        let raw = parse(Path::new("f"), source).unwrap();
        let (name, role) = raw.roles.first_key_value().unwrap();
        assert_eq!(source.get(name.span()), Some("coder"));
        assert_eq!(source.get(role.allow[0].span()), Some("\"Read\""));
        assert_eq!(source.get(..role.allow[1].span().start).unwrap().lines().count(), 4);
        assert_eq!(
            role.allow[1].get_ref().quorum.as_ref().map(|quorum| *quorum.get_ref()),
            Some(2)
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_likely_one() {
        insta::assert_snapshot!(
            [
                problem("[roles.coder]\nalow = []\n"),
                problem("[roles.coder.box]\nmemry = \"1GiB\"\n"),
                problem("[role.coder]\n"),
                problem("zebra = 1\n"),
                problem("[roles.coder]\nask = [{ tool = \"Bash\", quorm = 2 }]\n"),
            ]
            .concat()
        );
    }

    #[test]
    fn broken_toml_and_wrong_types_are_refused_where_they_stand() {
        insta::assert_snapshot!(
            [
                problem("[roles.coder\n"),
                problem("[roles.coder]\nallow = \"Read\"\n"),
                problem("[roles.coder]\nallow = [1]\n"),
                problem("[roles.coder.box]\npids = -1\n"),
                problem("[[inject]]\n"),
                problem("a = 1\na = 2\n"),
            ]
            .concat()
        );
    }
}
