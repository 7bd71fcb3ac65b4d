//! What exists here, and under which limits? Files as typed ([`raw`]) become a configuration as meant, or a list of errors.

pub(crate) mod approvals;
pub(crate) mod audit;
mod aws;
mod budget;
mod canary;
mod check;
mod console;
mod draft;
mod egress;
mod enclosure;
pub(crate) mod files;
mod inherit;
mod limit;
mod load;
mod mint;
mod mistakes;
pub(crate) mod mtls;
mod narrow;
pub(crate) mod notify;
pub(crate) mod own;
mod page;
pub(crate) mod places;
mod raw;
mod raw_secret;
mod raw_server;
pub(crate) mod second_opinion;
mod secret;
pub(crate) mod serve;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod tools;
pub(crate) mod trust;
pub(crate) mod units;
mod way_out;

pub(crate) use budget::Limits;
pub(crate) use canary::{CANARY, Canary};
pub(crate) use check::Upstream;
pub(crate) use console::Console;
pub(crate) use egress::{Egress, HostTls};
pub(crate) use files::{Source, quoted};
pub(crate) use load::{Purpose, load, load_own, load_with, load_with_given};
pub(crate) use places::Places;
pub(crate) use secret::Secret;
pub(crate) use server::{AT_ONCE_MAX, Asks, McpServer, Pin, Reach, idle_after};
pub(crate) use settings::{
    BoxSettings, CredentialHeader, Model, Network, Provider, Rest, Role, WorkspaceMode,
};
pub(crate) use tools::Tool;
pub(crate) use way_out::WayOut;

use crate::cli::exit;
use crate::report::{Excerpt, Failure, Problem, did_you_mean};
use bartizan_egress::vault::{Origin, Server};
use bartizan_gate::name::{Approver, HostPort, RoleName, SecretName, ServerName};
use bartizan_gate::policy::{self, Layer, Policy, PolicyError, Roles, ShortForm};
use bartizan_gate::tool::Catalogue;
use bartizan_gate::watch::Rules;
use bartizan_mcp::declare;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that was configured, from all layers.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The role of a run that names none, if that is clear.
    pub(crate) default_role: Option<RoleName>,
    /// Every role, its box settings and parents resolved.
    pub(crate) roles: BTreeMap<RoleName, Role>,
    /// The model API.
    pub(crate) model: Model,
    /// Where secrets come from.
    pub(crate) secrets: BTreeMap<SecretName, Secret>,
    /// What is planted in each box, by its name on the log.
    pub(crate) canaries: BTreeMap<SecretName, Canary>,
    /// The server behind `vault://`.
    pub(crate) server: Option<Server>,
    /// Who may answer questions; empty means whoever can write the state directory.
    pub(crate) approvers: Vec<Approver>,
    /// When a call is put off until a person has answered.
    pub(crate) approvals: approvals::Approvals,
    /// How hosts are reached, and with whose keys.
    pub(crate) egress: Egress,
    /// How other people reach the console; nothing said keeps it to this machine.
    pub(crate) console: Option<Console>,
    /// How clients come in over the network.
    pub(crate) serve: serve::Serve,
    /// What is required of the log.
    pub(crate) audit: audit::Audit,
    /// Who is told of questions and flags.
    pub(crate) notify: notify::Notify,
    /// Who else is asked about texts that look like orders.
    pub(crate) second_opinion: Option<second_opinion::SecondOpinion>,
    /// The tools that exist by configuration alone.
    pub(crate) tools: BTreeMap<String, Tool>,
    /// The MCP servers behind the gate.
    pub(crate) servers: BTreeMap<ServerName, McpServer>,
    /// The short forms, in the order of their places.
    pub(crate) rules: Vec<ShortForm>,
    /// The Cedar files, in the order of their layers and names.
    pub(crate) policies: Vec<policy::Source>,
    /// What shows on the log that a run has turned, and what follows.
    pub(crate) watch: Rules,
    /// How often tools may be called, as it was said.
    limits: limit::Limits,
    /// The files that were obeyed.
    pub(crate) files: Vec<(Layer, PathBuf)>,
    /// What a person should know, though it is no error.
    pub(crate) warnings: Vec<Problem>,
    /// The files' contents, so that an error found later can show its line.
    pages: Vec<Source>,
}

impl Config {
    /// The databases that are logged in to for a box, and with which secret.
    pub(crate) fn logins(&self) -> impl Iterator<Item = (HostPort, SecretName)> {
        self.secrets.iter().filter_map(|(name, secret)| match &secret.declared.from {
            Origin::At(_) | Origin::Aws(_) | Origin::Token(_) => None,
            Origin::Role(mint) => Some((mint.admin.target.clone(), name.clone())),
        })
    }

    /// The box of a role.
    pub(crate) fn box_of(&self, role: &RoleName) -> BoxSettings {
        self.roles.get(role).map(|role| role.enclosure.clone()).unwrap_or_default()
    }

    /// How a role's agent sees what comes from outside.
    pub(crate) fn way_out_of(&self, role: &RoleName) -> WayOut {
        self.roles.get(role).map(|role| role.way_out.clone()).unwrap_or_default()
    }

    /// The role that `given` names, or the default one.
    pub(crate) fn role(&self, given: Option<&str>) -> Result<RoleName, Failure> {
        let known = || self.roles.keys().map(RoleName::as_str);
        let listed = || known().collect::<Vec<_>>().join(", ");
        let Some(given) = given else {
            return self.default_role.clone().ok_or_else(|| {
                let problem = Problem::new("several roles are configured, and none is the default");
                Failure::new(
                    exit::CONFIG,
                    problem
                        .hint(format!("name one with --agent, or set default_role: {}", listed())),
                )
            });
        };
        let role = RoleName::parse(given).ok().filter(|role| self.roles.contains_key(role));
        role.ok_or_else(|| {
            let problem = Problem::new(format!("there is no role `{given}`"));
            let hint = match did_you_mean(given, known()) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => format!("known: {}", listed()),
            };
            Failure::new(exit::CONFIG, problem.hint(hint))
        })
    }

    /// Every tool there is: those that Bartizan knows by itself, and the declared ones.
    pub(crate) fn catalogue(&self) -> Result<Catalogue, Failure> {
        let whole = Catalogue::builtin().and_then(|mut catalogue| {
            let declared = self.tools.values().map(|tool| &tool.declared);
            catalogue.add(&declare::definitions(declared))?;
            Ok(catalogue)
        });
        whole.map_err(|error| Failure::new(exit::CONFIG, Problem::new(error.to_string())))
    }

    /// The rules for tools of configured MCP servers that are not in the catalogue, because nobody accepted them yet.
    pub(crate) fn unmet<'c>(
        &'c self,
        catalogue: &'c Catalogue,
    ) -> impl Iterator<Item = &'c ShortForm> {
        self.rules.iter().filter(|rule| self.is_unmet(rule, catalogue))
    }

    fn is_unmet(&self, rule: &ShortForm, catalogue: &Catalogue) -> bool {
        let name = rule.pattern.split('(').next().unwrap_or_default().trim();
        let Some((server, _)) = name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"))
        else {
            return false;
        };
        let known = self.servers.keys().any(|known| known.as_str() == server);
        // What stands before a `*` is enough: a name that is only nearly right is told of by the policy's own check.
        let meets = |tool: &str| match name.split_once('*') {
            Some((before, _)) => tool.starts_with(before),
            None => tool == name,
        };
        known && !catalogue.iter().any(|tool| meets(tool.name().as_str()))
    }

    /// The same tools, boxes, hosts and secrets, judged as `new` says.
    pub(crate) fn judging_as(self, new: Self) -> Self {
        let Self { roles, approvers, rules, policies, pages, .. } = new;
        Self { roles, approvers, rules, policies, pages, ..self }
    }

    /// The policies in force over the tools of `catalogue`, the built-in ones included; or everything
    /// that is wrong with them, each where it stands.
    pub(crate) fn policy(&self, catalogue: &Catalogue) -> Result<Policy, Failure> {
        let roles = self.roles.iter().map(|(name, role)| (name.clone(), role.parents.clone()));
        let roles = Roles::new(roles)
            .map_err(|error| Failure::new(exit::CONFIG, Problem::new(error.to_string())))?;
        let sources: Vec<policy::Source> =
            Policy::builtin_sources().into_iter().chain(self.policies.iter().cloned()).collect();
        let approvers: Vec<String> = self.approvers.iter().map(ToString::to_string).collect();
        // A permit for what is not there permits nothing, and a forbid has nothing to forbid.
        let met = self.rules.iter().filter(|rule| !self.is_unmet(rule, catalogue));
        let met: Vec<ShortForm> = met.cloned().collect();
        let loaded = Policy::load(&sources, &met, &roles, catalogue, &approvers);
        loaded.map_err(|errors| Failure {
            code: exit::CONFIG,
            problems: errors.iter().map(|error| self.problem(error)).collect(),
        })
    }

    fn problem(&self, error: &PolicyError) -> Problem {
        let problem = Problem::new(error.message.clone());
        let problem =
            if error.remedy.is_empty() { problem } else { problem.hint(error.remedy.clone()) };
        let page = self.pages.iter().find(|page| page.path.as_os_str() == error.file.as_str());
        let text = page.map_or("", |page| page.text.as_str());
        let excerpt = Excerpt::of_line(&error.file, text, error.line, error.column);
        // A short form is known by its line; which of a line's entries is meant, its tool tells.
        let here =
            |rule: &&ShortForm| rule.place.file == error.file && rule.place.line == error.line;
        let tool = |rule: &ShortForm| rule.pattern.split('(').next().unwrap_or_default().to_owned();
        let meant = self.rules.iter().filter(here).find(|rule| error.message.contains(&tool(rule)));
        problem.at(match meant {
            Some(rule) => excerpt.under(&rule.pattern),
            None => excerpt,
        })
    }
}
