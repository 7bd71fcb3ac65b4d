//! Which files are read, in which order, and whose word is left out? The machine's, the user's, and a project's that somebody
//! has trusted; each is obeyed only where nobody else can have written it.

use super::draft::Draft;
use super::files::{Guard, Source, quoted};
use super::places::{CONFIG_FILE, DETECT_FILE, POLICY_DIR, Places};
use super::trust::{self, Standing};
use super::{Config, narrow, raw};
use crate::cli::exit;
use crate::report::{Failure, Problem};
use bartizan_gate::policy::Layer;
use bartizan_gate::watch::Rules;
use std::path::Path;

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
