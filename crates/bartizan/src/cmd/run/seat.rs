//! What must the gate know of a session to judge it? The same for a run and for the explanation of one.

use crate::cli::exit;
use crate::client::Client;
use crate::cmd::run::surroundings::Surroundings;
use crate::config::{BoxSettings, Config, Network, Rest, WorkspaceMode};
use crate::report::{Failure, Problem};
use bartizan_gate::name::{CanonicalPath, HostPort, RoleName, SecretName, SessionId};
use bartizan_gate::seat::{Confines, Seat};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Who takes the seat, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sitter<'a> {
    /// Everything configured.
    pub(crate) config: &'a Config,
    /// The main agent's role.
    pub(crate) role: &'a RoleName,
    /// The person's machine, as the box will see it.
    pub(crate) around: &'a Surroundings,
    /// The session.
    pub(crate) session: &'a SessionId,
    /// The program that is run.
    pub(crate) program: &'a Path,
    /// Whether the shell commands of subagents get boxes of their roles.
    pub(crate) boxes_commands: bool,
    /// Where the model route leads, if there is one.
    pub(crate) model: Option<&'a HostPort>,
    /// The client that is run, if its manners are known.
    pub(crate) client: Option<Client>,
}

/// Makes the seat.
pub(crate) fn take(sitter: &Sitter<'_>) -> Result<Seat, Failure> {
    let Sitter { config, role, around, session, program, boxes_commands, model, client } = *sitter;
    let subagents = config.roles.iter().flat_map(|(parent, role)| {
        role.subagents.iter().map(|(kind, role)| ((parent.clone(), kind.clone()), role.clone()))
    });
    let settings = config.roles.get(role).map(|role| role.enclosure.readable.clone());
    let shown = SYSTEM.map(PathBuf::from).into_iter();
    let shown = shown.chain(around.readable(program)).chain(settings.unwrap_or_default());
    let shown = shown.chain(client.and_then(|client| client.scratch(&around.home)));
    let workspace = CanonicalPath::absolute(&around.workspace).ok_or_else(|| {
        let problem = Problem::new("the current folder has no absolute path");
        Failure::new(exit::UNAVAILABLE, problem.hint("run in another folder"))
    })?;
    Ok(Seat {
        only: None,
        session: session.clone(),
        role: role.clone(),
        workspace,
        home: around.home.clone(),
        visible: shown.filter_map(|path| CanonicalPath::absolute(&path)).collect(),
        subagents: subagents.collect(),
        confined: confined(config, role, &around.root, boxes_commands),
        private: config.egress.private().cloned().collect(),
        model_upstream: model.cloned(),
        model_secret: model.and_then(|_| SecretName::parse("model").ok()),
        logins: config.logins().collect(),
        credentials: config.egress.injections.iter().map(|entry| entry.binding.clone()).collect(),
    })
}

/// The roles whose box is narrower than the session's, which is the one that their agents run in.
fn confined(
    config: &Config,
    session: &RoleName,
    root: &Path,
    boxes_commands: bool,
) -> BTreeMap<RoleName, Confines> {
    let whole = config.box_of(session);
    let others = config.roles.iter().filter(|(name, _)| *name != session);
    let narrower = others.filter(|(_, role)| is_narrower(&role.enclosure, &whole, root));
    narrower
        .map(|(name, role)| {
            let confines = confines(&role.enclosure, root);
            (name.clone(), Confines { commands: boxes_commands, ..confines })
        })
        .collect()
}

/// Whether a box shows or allows less than the session's. Limits do not count: those of a session are for all its agents
/// together.
fn is_narrower(own: &BoxSettings, session: &BoxSettings, root: &Path) -> bool {
    let folder = own.folder.as_ref().is_some_and(|folder| {
        session.folder.as_ref().is_none_or(|whole| !whole.starts_with(folder))
            || (session.rest == Rest::ReadOnly && own.rest == Rest::Hidden)
    });
    let unseen = |path: &&PathBuf| path.as_path() != root && !own.readable.contains(path);
    folder
        || own.workspace < session.workspace
        || own.network < session.network
        || session.readable.iter().any(|path| unseen(&path))
}

fn confines(own: &BoxSettings, root: &Path) -> Confines {
    let at = |path: &Path| CanonicalPath::absolute(path);
    let folder = own.folder.as_ref().map_or_else(|| root.to_path_buf(), |folder| root.join(folder));
    Confines {
        commands: false,
        network: own.network == Network::Gated,
        reads: if own.rest == Rest::ReadOnly { at(root) } else { at(&folder) },
        writes: if own.workspace == WorkspaceMode::ReadOnly { None } else { at(&folder) },
    }
}

/// What every box shows besides.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/lib", "/lib64", "/sbin", "/tmp"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_narrower_when_it_shows_or_allows_less_and_not_when_it_is_only_smaller() {
        let root = Path::new("/home/anna/shop");
        let whole = BoxSettings::default();
        let with = |change: &dyn Fn(&mut BoxSettings)| {
            let mut own = BoxSettings::default();
            change(&mut own);
            own
        };
        let docs = with(&|own| own.folder = Some("docs".into()));
        let narrow = [
            docs.clone(),
            with(&|own| own.workspace = WorkspaceMode::ReadOnly),
            with(&|own| own.network = Network::Model),
        ];
        for own in &narrow {
            assert!(is_narrower(own, &whole, root), "{own:?}");
            assert!(!is_narrower(own, own, root), "{own:?}");
        }
        assert!(!is_narrower(&with(&|own| own.pids = 8), &whole, root));
        assert!(!is_narrower(&whole, &docs, root));
        assert!(is_narrower(&whole, &with(&|own| own.readable = vec!["/opt/data".into()]), root));
        let inside = with(&|own| own.folder = Some("docs/api".into()));
        assert!(!is_narrower(&docs, &inside, root) && is_narrower(&inside, &docs, root));
    }

    #[test]
    fn what_a_narrower_role_may_touch_is_what_its_own_box_would_show() {
        let root = Path::new("/home/anna/shop");
        let mut own = BoxSettings { folder: Some("docs".into()), ..BoxSettings::default() };
        let at = |path: &str| CanonicalPath::absolute(Path::new(path));
        let docs = confines(&own, root);
        assert_eq!(
            (docs.reads, docs.writes),
            (at("/home/anna/shop/docs"), at("/home/anna/shop/docs"))
        );
        own.rest = Rest::ReadOnly;
        own.workspace = WorkspaceMode::ReadOnly;
        own.network = Network::None;
        let nothing = confines(&own, root);
        assert_eq!(
            (nothing.reads, nothing.writes, nothing.network),
            (at("/home/anna/shop"), None, false)
        );
    }
}
