//! Where does a person begin? A starter configuration that changes nothing until it is edited.

use super::{Desk, here, outside_a_box};
use crate::cli::{InitArgs, exit};
use crate::config::places::{CONFIG_FILE, POLICY_DIR};
use crate::config::{Places, files, quoted};
use crate::report::{Failure, Problem};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The starter `bartizan.toml`. A line that begins with `#` and a letter or bracket is a setting to
/// uncomment; one that begins with `# ` is prose.
pub(crate) const STARTER: &str = include_str!("init/bartizan.toml");
/// The starter Cedar file.
pub(crate) const STARTER_POLICY: &str = include_str!("init/starter.cedar");

/// `bartizan init`.
pub(super) fn run(args: &InitArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if args.print {
        desk.voice.out().write_all(STARTER.as_bytes())?;
        return Ok(exit::DONE);
    }
    outside_a_box("writing the configuration")?;
    refuse_where_agents_write(&desk.places)?;
    let dir = desk.places.user.clone();
    let policy = dir.join(POLICY_DIR);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&policy);
    made.map_err(|error| Failure::file("create", &policy, &error))?;
    files::obeyed_directory(&dir).map_err(|problem| Failure::new(exit::CONFIG, problem))?;
    let config = dir.join(CONFIG_FILE);
    if !write_new(&config, STARTER)? {
        let problem =
            Problem::new(format!("`{}` is there already, and is left as it is", config.display()));
        let hint = format!(
            "edit it, or see the starter with: bartizan init --print; check it with: bartizan policy check --config {}",
            quoted(&dir)
        );
        return Err(Failure::new(exit::NO, problem.hint(hint)));
    }
    write_new(&policy.join("starter.cedar"), STARTER_POLICY)?;
    writeln!(desk.voice.out(), "{}", config.display())?;
    desk.voice.say("wrote a starter configuration; as it stands, it changes nothing")?;
    desk.voice.say("  hint: uncomment what you need, then: bartizan policy check")?;
    Ok(exit::DONE)
}

/// A configuration that the person puts into the folder at hand would lie where an agent that is
/// run from here can write.
fn refuse_where_agents_write(places: &Places) -> Result<(), Failure> {
    let here = here()?;
    let dir = places.user.canonicalize().unwrap_or_else(|_| places.user.clone());
    // The home directory and what is above it can be no workspace.
    if !dir.starts_with(&here) || places.home.starts_with(&here) {
        return Ok(());
    }
    let what = format!(
        "`{}` is inside the current folder, where an agent that is run from here can write",
        dir.display()
    );
    Err(Failure::new(
        exit::CONFIG,
        Problem::new(what).hint(
            "choose a directory outside every project; without --config it is ~/.config/bartizan",
        ),
    ))
}

/// Writes a file that must not be there yet; false when it is.
fn write_new(path: &Path, text: &str) -> Result<bool, Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(Failure::file("create", path, &error)),
    };
    file.write_all(text.as_bytes()).map_err(|error| Failure::file("write", path, &error))?;
    Ok(true)
}
