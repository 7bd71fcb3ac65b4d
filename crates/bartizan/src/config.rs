//! What exists here, and under which limits? Files as typed become a configuration as meant, or a list of errors.

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
pub(crate) use places::Places;
pub(crate) use secret::Secret;
pub(crate) use server::{AT_ONCE_MAX, Asks, McpServer, Pin, Reach, idle_after};
pub(crate) use tools::Tool;
pub(crate) use way_out::WayOut;

use crate::cli::exit;
use crate::report::{Excerpt, Failure, Problem, did_you_mean};
use bartizan_egress::SecretRef;
use bartizan_egress::vault::{Origin, Server};
use bartizan_gate::name::{Approver, HostPort, RoleName, SecretName, ServerName};
use bartizan_gate::policy::{self, Layer, Policy, PolicyError, Roles, ShortForm};
use bartizan_gate::tool::Catalogue;
use bartizan_gate::watch::Rules;
use bartizan_mcp::declare;
use draft::Draft;
use files::Guard;
use places::{CONFIG_FILE, DETECT_FILE, POLICY_DIR};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trust::Standing;

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

/// What agents of one role are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Role {
    /// The roles it extends: it may do what they may, and must not what they must not.
    pub(crate) parents: Vec<RoleName>,
    /// Which role a subagent of a kind has; a kind that is not named keeps its parent's.
    pub(crate) subagents: BTreeMap<String, RoleName>,
    /// Its box.
    pub(crate) enclosure: BoxSettings,
    /// What it may use up.
    pub(crate) budget: Limits,
    /// How it sees what comes from outside.
    pub(crate) way_out: WayOut,
}

/// One box's view and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoxSettings {
    /// How the workspace appears.
    pub(crate) workspace: WorkspaceMode,
    /// The folder of the workspace that the box works on; `None` is all of it.
    pub(crate) folder: Option<PathBuf>,
    /// What it sees of the rest, when it works on a folder.
    pub(crate) rest: Rest,
    /// What it may reach.
    pub(crate) network: Network,
    /// Paths outside the workspace that are shown, read-only.
    pub(crate) readable: Vec<PathBuf>,
    /// Variables of the launching shell that are passed on.
    pub(crate) env: Vec<String>,
    /// Memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) pids: u64,
    /// CPU time in percent of one core, if limited.
    pub(crate) cpu_percent: Option<u32>,
    /// How long a run may take.
    pub(crate) wall: Duration,
    /// The longest file it may write, in bytes.
    pub(crate) file_size_bytes: u64,
    /// Open files per process.
    pub(crate) open_files: u64,
    /// How much it may write to the workspace before write-back, in bytes.
    pub(crate) overlay_size_bytes: u64,
    /// How much it may print, in bytes, if limited.
    pub(crate) output_bytes: Option<u64>,
}

impl Default for BoxSettings {
    /// Roomy enough for a build of a large project, small enough that a runaway agent is felt and not fatal.
    fn default() -> Self {
        Self {
            workspace: WorkspaceMode::Overlay,
            folder: None,
            rest: Rest::Hidden,
            network: Network::Gated,
            readable: Vec::new(),
            env: Vec::new(),
            memory_bytes: 8 << 30,
            pids: 4096,
            cpu_percent: None,
            wall: Duration::from_hours(24),
            file_size_bytes: 4 << 30,
            open_files: 16_384,
            overlay_size_bytes: 2 << 30,
            output_bytes: None,
        }
    }
}

/// How a workspace appears in its box, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorkspaceMode {
    /// It can be read.
    ReadOnly,
    /// It can be written, into an overlay that passes the write-back gate at the end.
    Overlay,
    /// It can be written, at once and without a gate.
    Direct,
}

/// What a box that works on a folder sees of the rest of the workspace, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rest {
    /// It is not there.
    Hidden,
    /// It can be read.
    ReadOnly,
}

/// What a box may reach, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Network {
    /// Nothing but itself: no listener of ours is in the box.
    None,
    /// The model API alone.
    Model,
    /// Whatever the gate lets through.
    Gated,
}

/// The model API: where its requests go, and what is added to them outside the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// Where they go; `None` leaves it to the launching environment, then to the vendor.
    pub(crate) upstream: Option<Upstream>,
    /// Where the credential is found, unless it is a secret with a name.
    pub(crate) credential: SecretRef,
    /// The secret that is the credential.
    pub(crate) secret: Option<SecretName>,
    /// The header it goes in; `None` leaves it to whose API it is.
    pub(crate) header: Option<CredentialHeader>,
    /// Whose API it is.
    pub(crate) provider: Provider,
    /// Where the provider runs the model.
    pub(crate) region: Option<String>,
    /// On whose account with Google.
    pub(crate) project: Option<String>,
}

/// Who serves the model, and in which form of the Messages API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Anthropic, or whoever speaks as they do.
    #[default]
    Anthropic,
    /// Amazon Bedrock.
    Bedrock,
    /// Google Vertex AI.
    Vertex,
}

impl Default for Model {
    /// The vendor's own API, with the key of the launching shell.
    fn default() -> Self {
        Self {
            upstream: None,
            credential: SecretRef::of_variable("ANTHROPIC_API_KEY"),
            secret: None,
            header: None,
            provider: Provider::Anthropic,
            region: None,
            project: None,
        }
    }
}

/// The header that carries the model credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialHeader {
    /// `x-api-key: …`
    XApiKey,
    /// `authorization: Bearer …`
    Bearer,
    /// `x-goog-api-key: …`
    XGoogApiKey,
}

/// What the configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An agent will write the workspace, so nothing inside it may be obeyed.
    Run,
    /// Somebody wants to look, perhaps from inside the configuration directory itself.
    Look,
}

/// Reads all layers for a workspace whose path has no symlinks left in it.
pub(crate) fn load(places: &Places, workspace: &Path, purpose: Purpose) -> Result<Config, Failure> {
    let mut config = load_own(places, workspace, purpose)?;
    add_project(&mut config, places, workspace)
        .map_err(|problems| Failure { code: exit::CONFIG, problems })?;
    Ok(config)
}

/// Reads all layers, and `given` on top of the user's own.
pub(crate) fn load_with_given(
    places: &Places,
    workspace: &Path,
    given: &Source,
) -> Result<Config, Failure> {
    let mut config = load_layers(places, workspace, Purpose::Run, Some(given))?;
    add_project(&mut config, places, workspace)
        .map_err(|problems| Failure { code: exit::CONFIG, problems })?;
    Ok(config)
}

/// Reads all layers as if `project` were trusted, to see what it would make of them.
pub(crate) fn load_with(
    places: &Places,
    workspace: &Path,
    project: &trust::Project,
) -> Result<Config, Failure> {
    let mut config = load_own(places, workspace, Purpose::Look)?;
    narrow::apply(&mut config, places, project.clone())
        .map_err(|problems| Failure { code: exit::CONFIG, problems })?;
    Ok(config)
}

/// Reads the machine's and the user's layers alone.
pub(crate) fn load_own(
    places: &Places,
    workspace: &Path,
    purpose: Purpose,
) -> Result<Config, Failure> {
    load_layers(places, workspace, purpose, None)
}

fn load_layers(
    places: &Places,
    workspace: &Path,
    purpose: Purpose,
    given: Option<&Source>,
) -> Result<Config, Failure> {
    let guard = Guard {
        workspace: (purpose == Purpose::Run).then_some(workspace),
        uid: rustix::process::geteuid().as_raw(),
    };
    let mut draft = Draft::new(places);
    let mut problems: Vec<Problem> = guard.state(&places.state).err().into_iter().collect();
    problems.extend(draft.watch_for(Rules::BUILTIN).err());
    for (layer, dir) in [(Layer::System, &places.system), (Layer::User, &places.user)] {
        let must_exist = layer == Layer::User && places.user_is_given;
        if let Err(found) = read_layer(&mut draft, guard, layer, dir, must_exist) {
            problems.extend(found);
        }
    }
    if let Some(given) = given {
        let read =
            raw::parse(&given.path, &given.text).and_then(|raw| draft.add(Layer::User, given, raw));
        problems.extend(read.err().into_iter().flatten());
    }
    // A project is compared with what stands above it, so that must be whole first.
    if !problems.is_empty() {
        return Err(Failure { code: exit::CONFIG, problems });
    }
    draft.finish().map_err(|problems| Failure { code: exit::CONFIG, problems })
}

fn read_layer(
    draft: &mut Draft<'_>,
    guard: Guard<'_>,
    layer: Layer,
    dir: &Path,
    must_exist: bool,
) -> Result<(), Vec<Problem>> {
    let Some(_) = guard.directory(dir).map_err(|problem| vec![problem])? else {
        if must_exist {
            let problem = Problem::new(format!("there is no directory `{}`", dir.display()));
            return Err(vec![problem.hint("leave --config out to use the built-in configuration")]);
        }
        return Ok(());
    };
    let config = guard.read(&dir.join(CONFIG_FILE)).map_err(|problem| vec![problem])?;
    let watch = guard.read(&dir.join(DETECT_FILE)).map_err(|problem| vec![problem])?;
    let policies = guard.read_policies(&dir.join(POLICY_DIR)).map_err(|problem| vec![problem])?;
    if let Some(source) = config {
        let raw = raw::parse(&source.path, &source.text)?;
        draft.add(layer, &source, raw)?;
    }
    if let Some(source) = watch {
        draft.add_watch(layer, &source).map_err(|problem| vec![problem])?;
    }
    for source in policies {
        draft.add_policy(layer, source);
    }
    Ok(())
}

/// Adds the project's own word, when a person has looked at it.
fn add_project(config: &mut Config, places: &Places, workspace: &Path) -> Result<(), Vec<Problem>> {
    let shown = quoted(workspace);
    match trust::standing(places, workspace).map_err(|problem| vec![problem])? {
        Standing::Absent => Ok(()),
        Standing::Trusted(project) => narrow::apply(config, places, project),
        Standing::Unknown(_) => {
            let what = format!(
                "the project's own configuration `{}/.bartizan` is ignored, since nobody has trusted it",
                workspace.display()
            );
            config
                .warnings
                .push(Problem::new(what).hint(format!("read it, then: bartizan trust {shown}")));
            Ok(())
        }
        Standing::Changed(_) => {
            let what = format!(
                "the project's configuration `{}/.bartizan` has changed since it was trusted",
                workspace.display()
            );
            Err(vec![Problem::new(what).hint(format!("read it, then: bartizan trust {shown}"))])
        }
        Standing::Gone => {
            let what = format!(
                "the project's configuration `{}/.bartizan` was trusted and is gone",
                workspace.display()
            );
            Err(vec![
                Problem::new(what)
                    .hint(format!("bring it back, or: bartizan trust --forget {shown}")),
            ])
        }
    }
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
