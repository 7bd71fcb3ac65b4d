//! What do the layers say together? The machine's and the user's words, added up, then resolved into roles.

use super::Config;
use super::approvals::Approvals;
use super::audit::Audit;
use super::budget::Limits;
use super::canary::{self, Canary};
use super::check::{self, Upstream};
use super::console::{self, Console};
use super::egress::Egress;
use super::enclosure::BoxDraft;
use super::files::Source;
use super::inherit::{self, RoleDraft};
use super::limit;
use super::notify::Notify;
use super::page::{Page, Subject, name_flaw};
use super::places::Places;
use super::raw::{
    At, RawApprovers, RawConfig, RawConsole, RawModel, RawRole, RawServe, RawTool, Table,
};
use super::raw_secret::{RawCanary, RawSecret};
use super::raw_server::RawServer;
use super::second_opinion::SecondOpinion;
use super::secret::{self, Secret};
use super::serve::{self, Serve};
use super::server::{McpServer, ROLE_PREFIX, Reach};
use super::settings::Model;
use super::tools::{self, Tool};
use super::way_out::WayOut;
use crate::report::{Excerpt, Problem};
use bartizan_egress::vault::Server;
use bartizan_gate::name::{Approver, RoleName, SecretName, ServerName};
use bartizan_gate::policy::{self, Layer, Roles, ShortForm};
use bartizan_gate::watch::Rules;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The layers so far.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    places: &'a Places,
    default_role: Option<(String, Excerpt)>,
    roles: BTreeMap<RoleName, RoleDraft>,
    model: Model,
    secrets: BTreeMap<SecretName, Secret>,
    canaries: BTreeMap<SecretName, Canary>,
    server: Option<Server>,
    approvers: Vec<Approver>,
    approvals: Approvals,
    egress: Egress,
    serve: Serve,
    audit: Audit,
    console: Option<Console>,
    notify: Notify,
    second_opinion: Option<SecondOpinion>,
    model_secret: Option<(SecretName, Excerpt)>,
    tools: BTreeMap<String, Tool>,
    servers: BTreeMap<ServerName, McpServer>,
    rules: Vec<ShortForm>,
    policies: Vec<policy::Source>,
    watch: Rules,
    limits: limit::Draft,
    files: Vec<(Layer, PathBuf)>,
    pages: Vec<Source>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(places: &'a Places) -> Self {
        Self {
            places,
            default_role: None,
            roles: BTreeMap::new(),
            model: Model::default(),
            secrets: BTreeMap::new(),
            canaries: BTreeMap::new(),
            server: None,
            approvers: Vec::new(),
            approvals: Approvals::default(),
            egress: Egress::default(),
            serve: Serve::default(),
            audit: Audit::default(),
            console: None,
            notify: Notify::default(),
            second_opinion: None,
            model_secret: None,
            tools: BTreeMap::new(),
            servers: BTreeMap::new(),
            rules: Vec::new(),
            policies: Vec::new(),
            watch: Rules::default(),
            limits: limit::Draft::default(),
            files: Vec::new(),
            pages: Vec::new(),
        }
    }

    pub(super) fn add_policy(&mut self, layer: Layer, source: Source) {
        self.obeyed(layer, &source);
        self.policies.push(source.into_policy(layer));
    }

    /// Adds one layer's rules for what goes on the log.
    pub(super) fn add_watch(&mut self, layer: Layer, source: &Source) -> Result<(), Problem> {
        self.obeyed(layer, source);
        self.watch_for(&source.text)
            .map_err(|problem| problem.hint(format!("in {}", source.path.display())))
    }

    /// Adds rules for what goes on the log.
    pub(super) fn watch_for(&mut self, text: &str) -> Result<(), Problem> {
        let added = self.watch.add(text);
        added.map_err(|error| Problem::from_text(&error.to_string()))
    }

    fn obeyed(&mut self, layer: Layer, source: &Source) {
        self.files.push((layer, source.path.clone()));
        self.pages.push(source.clone());
    }

    /// Adds one layer's file; all that is wrong with it comes back at once.
    pub(super) fn add(
        &mut self,
        layer: Layer,
        source: &Source,
        raw: RawConfig,
    ) -> Result<(), Vec<Problem>> {
        let mut page = Page::new(source);
        self.obeyed(layer, source);
        let RawConfig {
            default_role,
            roles,
            model,
            secrets,
            canaries,
            vault,
            approvers,
            approvals,
            hosts,
            inject,
            egress,
            serve,
            audit,
            console,
            notify,
            second_opinion,
            tools,
            limits,
            servers,
        } = raw;
        if let Some(name) = default_role {
            self.default_role = Some((name.get_ref().clone(), page.at(name.span())));
        }
        for (name, role) in &roles {
            self.role(&mut page, layer, name, role);
        }
        if let Some(model) = model {
            self.model(&mut page, model.get_ref());
        }
        self.secrets(&mut page, &secrets);
        self.canaries(&mut page, &canaries);
        if let Some(vault) = vault {
            self.server = secret::server(&mut page, &vault);
        }
        self.approvers(&mut page, approvers.as_ref());
        self.approvals.add(&mut page, approvals.as_ref().map(At::get_ref));
        self.egress.hosts(&mut page, &hosts);
        self.egress.inject(&mut page, &inject);
        self.limits.read(&mut page, &limits);
        for (name, server) in &servers {
            self.server(&mut page, layer, name, server);
        }
        if let Some(egress) = egress {
            self.egress.session(&mut page, egress.get_ref());
        }
        self.inward(&mut page, serve.as_ref(), console.as_ref());
        if let Some(audit) = audit {
            self.audit.add(&mut page, audit.get_ref());
        }
        if let Some(notify) = notify {
            self.notify.add(&mut page, notify.get_ref());
        }
        if let Some(asked) = second_opinion {
            self.second_opinion = SecondOpinion::read(&mut page, asked.get_ref());
        }
        self.tools(&mut page, &tools);
        if page.problems.is_empty() { Ok(()) } else { Err(page.problems) }
    }

    fn role(&mut self, page: &mut Page<'_>, layer: Layer, key: &At<String>, raw: &RawRole) {
        let Some(subject) = page.subject(key) else { return };
        for (list, entries) in [("allow", &raw.allow), ("ask", &raw.ask), ("deny", &raw.deny)] {
            self.rules.extend(page.rules(layer, &subject, list, entries));
        }
        self.rules.extend(page.network_rules(layer, &subject, &raw.enclosure));
        let enclosure = BoxDraft::read(page, &raw.enclosure, self.places);
        let Subject::Role(name) = subject else {
            let says_more = raw.extends.is_some() || raw.subagents.is_some();
            let says_more = says_more || raw.budget.is_some() || raw.way_out.is_some();
            if says_more || !enclosure.is_silent() {
                let problem = Problem::new(
                    "`*` stands for every role, so it can hold only `allow`, `ask` and `deny`",
                );
                page.complain(key.span(), problem);
            }
            return;
        };
        let draft = self.roles.entry(name).or_default();
        for parent in raw.extends.iter().flat_map(At::get_ref) {
            draft.extends.push((parent.get_ref().clone(), page.at(parent.span())));
        }
        for (kind, role) in raw.subagents.iter().flat_map(At::get_ref) {
            draft
                .subagents
                .insert(kind.get_ref().clone(), (role.get_ref().clone(), page.at(role.span())));
        }
        draft.enclosure.overlay(enclosure);
        if let Some(budget) = &raw.budget {
            draft.budget.overlay(Limits::read(budget.get_ref()));
        }
        if let Some(way_out) = &raw.way_out {
            draft.way_out.overlay(WayOut::read(page, way_out.get_ref()));
        }
    }

    fn model(&mut self, page: &mut Page<'_>, raw: &RawModel) {
        if let Some(upstream) =
            page.take_option(raw.upstream.as_ref(), |text| Upstream::parse(text))
        {
            self.model.upstream = Some(upstream);
        }
        let credential = raw.credential.as_ref();
        if let Some(credential) = credential
            .and_then(|credential| page.take_unshown(credential, |text| secret::reference(text)))
        {
            self.model.credential = credential;
            (self.model.secret, self.model_secret) = (None, None);
        }
        if let Some(said) = &raw.secret {
            self.model_named(page, raw, said);
        }
        if let Some(header) = page.take_option(raw.header.as_ref(), |text| check::header(text)) {
            self.model.header = Some(header);
        }
        if let Some(provider) =
            page.take_option(raw.provider.as_ref(), |text| check::provider(text))
        {
            self.model.provider = provider;
        }
        let mut word = |said: Option<&At<String>>, kept: &mut Option<String>| {
            if let Some(word) = page.take_option(said, |text| check::cloud_word(text)) {
                *kept = Some(word);
            }
        };
        word(raw.region.as_ref(), &mut self.model.region);
        word(raw.project.as_ref(), &mut self.model.project);
    }

    /// The credential is a secret with a name: what is said of that holds, how long it is kept among it.
    fn model_named(&mut self, page: &mut Page<'_>, raw: &RawModel, said: &At<String>) {
        if raw.credential.is_some() {
            let problem = Problem::new("the model's key is either a `credential` or a `secret`");
            page.complain(said.span(), problem.hint("leave one of them out"));
        }
        let name = page.take(said, |text| SecretName::parse(text).map_err(|why| name_flaw(&why)));
        self.model_secret = name.clone().map(|name| (name, page.at(said.span())));
        self.model.secret = name;
    }

    /// A server has a role of its own, `server.NAME`: whatever it reaches is judged as that role's.
    fn server(&mut self, page: &mut Page<'_>, layer: Layer, key: &At<String>, raw: &RawServer) {
        let enclosure = BoxDraft::read(page, &raw.enclosure, self.places);
        let Some((name, server)) = McpServer::read(page, key, raw) else { return };
        let role = Subject::Role(server.role.clone());
        self.rules.extend(page.host_rules(layer, &role, &raw.hosts));
        if let (Reach::Url(at), Some(url)) = (&server.reach, &raw.url) {
            let host = at.target().to_string();
            self.rules.push(page.host_rule(layer, &role, &host, url.span()));
        }
        self.rules.extend(page.network_rules(layer, &role, &raw.enclosure));
        self.roles.entry(server.role.clone()).or_default().enclosure.overlay(enclosure);
        self.servers.insert(name, server);
    }

    fn secrets(&mut self, page: &mut Page<'_>, raw: &Table<RawSecret>) {
        for (key, secret) in raw {
            let name =
                page.take(key, |text| SecretName::parse(text).map_err(|error| name_flaw(&error)));
            self.secrets.extend(name.zip(secret::read(page, key, secret)));
        }
    }

    /// Who comes in to us over the network, and how.
    fn inward(
        &mut self,
        page: &mut Page<'_>,
        serve: Option<&At<RawServe>>,
        console: Option<&At<RawConsole>>,
    ) {
        if let Some((raw, mut read)) =
            serve.and_then(|raw| Some((raw, serve::read(page, raw.get_ref())?)))
        {
            // What one layer demands of clients, no later one takes away.
            match (self.serve.mtls.take(), &read.mtls) {
                (Some(_), Some(_)) => {
                    let problem = Problem::new("`[serve.mtls]` stands in another layer already");
                    page.complain(raw.span(), problem.hint("write it in one place"));
                }
                (Some(known), None) => read.mtls = Some(known),
                (None, _) => {}
            }
            self.serve = read;
        }
        if let Some(raw) = console {
            // What one layer requires there, no later one gives up.
            let strict = self.console.take().is_some_and(|known| known.require_passkey);
            let read = console::read(page, raw.get_ref());
            self.console = read
                .map(|read| Console { require_passkey: read.require_passkey || strict, ..read });
        }
    }

    fn canaries(&mut self, page: &mut Page<'_>, raw: &Table<RawCanary>) {
        for (name, canary) in raw {
            self.canaries.extend(canary::read(page, name, canary));
        }
    }

    /// A later layer's tool takes the place of an earlier one of its name, whole.
    fn tools(&mut self, page: &mut Page<'_>, raw: &Table<RawTool>) {
        for (name, tool) in raw {
            let read = tools::read(page, name, tool);
            self.tools.extend(read.map(|tool| (name.get_ref().clone(), tool)));
        }
    }

    fn approvers(&mut self, page: &mut Page<'_>, raw: Option<&At<RawApprovers>>) {
        let Some(raw) = raw else { return };
        let people = &raw.get_ref().people;
        if people.is_empty() {
            let problem = Problem::new("with nobody in `people`, nothing could ever be approved");
            page.complain(
                raw.span(),
                problem.hint("name somebody, such as \"local:anna\", or leave [approvers] out"),
            );
        }
        // A later layer's list takes the place of an earlier one: people leave, too.
        self.approvers = people
            .iter()
            .filter_map(|person| page.take(person, |text| check::approver(text)))
            .collect();
    }

    fn add_builtin_roles(&mut self) {
        for builtin in [Roles::BASIC, Roles::DEFAULT] {
            if let Ok(name) = RoleName::parse(builtin) {
                self.roles.entry(name).or_default();
            }
        }
    }

    /// The role of a session that names none.
    fn default_role(
        &self,
        described: &[RoleName],
        problems: &mut Vec<Problem>,
    ) -> Option<RoleName> {
        match &self.default_role {
            Some((name, place)) => inherit::known_role(&self.roles, name, place, problems),
            None => match described {
                [] => RoleName::parse(Roles::DEFAULT).ok(),
                [only] => Some(only.clone()),
                several => several.iter().find(|name| name.as_str() == Roles::DEFAULT).cloned(),
            },
        }
    }

    /// What can only be said of all layers together.
    fn check(&self, problems: &mut Vec<Problem>) {
        self.egress.check(&self.secrets.keys(), problems);
        tools::check(&self.tools, &self.secrets, problems);
        for server in self.servers.values() {
            server.check(&self.secrets.keys(), problems);
        }
        self.notify.check(&self.secrets.keys(), problems);
        if let Some(asked) = &self.second_opinion {
            asked.check(&self.secrets.keys(), problems);
        }
        secret::check(self.model_secret.as_slice(), &self.secrets.keys(), problems);
    }

    /// Resolves who extends whom, and what that means for each box.
    pub(super) fn finish(mut self) -> Result<Config, Vec<Problem>> {
        let mut problems = Vec::new();
        let own = |name: &&RoleName| !name.as_str().starts_with(ROLE_PREFIX);
        let described: Vec<RoleName> = self.roles.keys().filter(own).cloned().collect();
        self.add_builtin_roles();
        let roles = inherit::resolved(&self.roles, &mut problems);
        let default_role = self.default_role(&described, &mut problems);
        self.check(&mut problems);
        let limits = self.limits.finish(&roles, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let Self {
            model,
            secrets,
            canaries,
            server,
            approvers,
            approvals,
            egress,
            serve,
            audit,
            console,
            notify,
            second_opinion,
            tools,
            servers,
            rules,
            policies,
            watch,
            files,
            pages,
            ..
        } = self;
        Ok(Config {
            default_role,
            roles,
            model,
            secrets,
            canaries,
            server,
            approvers,
            approvals,
            egress,
            serve,
            audit,
            console,
            notify,
            second_opinion,
            tools,
            servers,
            rules,
            policies,
            watch,
            limits,
            files,
            warnings: Vec::new(),
            pages,
        })
    }
}
