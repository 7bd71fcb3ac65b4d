//! What must the gate know of a session to judge it? The same for a run and for the explanation of one.

use crate::cli::exit;
use crate::cmd::run::surroundings::Surroundings;
use crate::config::Config;
use crate::report::{Failure, Problem};
use bartizan_gate::name::{CanonicalPath, HostPort, RoleName, SecretName, SessionId};
use bartizan_gate::seat::Seat;
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
    /// Where the model route leads, if there is one.
    pub(crate) model: Option<&'a HostPort>,
}

/// Makes the seat.
pub(crate) fn take(sitter: &Sitter<'_>) -> Result<Seat, Failure> {
    let Sitter { config, role, around, session, program, model } = *sitter;
    let subagents = config.roles.iter().flat_map(|(parent, role)| {
        role.subagents.iter().map(|(kind, role)| ((parent.clone(), kind.clone()), role.clone()))
    });
    let settings = config.roles.get(role).map(|role| role.enclosure.readable.clone());
    let shown = SYSTEM.map(PathBuf::from).into_iter();
    let shown = shown.chain(around.readable(program)).chain(settings.unwrap_or_default());
    let workspace = CanonicalPath::absolute(&around.workspace).ok_or_else(|| {
        let problem = Problem::new("the current folder has no absolute path");
        Failure::new(exit::UNAVAILABLE, problem.hint("run in another folder"))
    })?;
    Ok(Seat {
        session: session.clone(),
        role: role.clone(),
        workspace,
        home: around.home.clone(),
        visible: shown.filter_map(|path| CanonicalPath::absolute(&path)).collect(),
        subagents: subagents.collect(),
        private: config.private_hosts.clone(),
        model_upstream: model.cloned(),
        model_secret: model.and_then(|_| SecretName::parse("model").ok()),
    })
}

/// What every box shows besides.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/lib", "/lib64", "/sbin", "/tmp"];
