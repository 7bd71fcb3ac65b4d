//! Has a person read this project's configuration? Shows it, and remembers it to the byte.

use super::{Desk, here, outside_a_box};
use crate::cli::{TrustArgs, exit};
use crate::config::trust::{self, Project, Standing};
use crate::config::{self, quoted};
use crate::report::{Failure, Paint, Problem, safe};
use serde_json::json;
use std::path::{Path, PathBuf};

/// `bartizan trust`.
pub(super) fn run(args: &TrustArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("trusting a project")?;
    if args.list {
        return list(args.json, desk);
    }
    let project = match &args.project {
        Some(dir) => dir.canonicalize().map_err(|error| Failure::file("find", dir, &error))?,
        None => here()?,
    };
    if args.forget { forget(&project, desk) } else { remember(args, &project, desk) }
}

fn remember(args: &TrustArgs, project: &Path, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let as_config = |problem| Failure::new(exit::CONFIG, problem);
    let Some(found) = trust::read(project).map_err(as_config)? else {
        let problem =
            Problem::new(format!("`{}` has no configuration of its own", project.display()));
        return Err(Failure::new(
            exit::NO,
            problem.hint(
                "a project's configuration is .bartizan/bartizan.toml and .bartizan/policy/*.cedar",
            ),
        ));
    };
    // What could not be used is not worth trusting.
    config::load_with(&desk.places, project, &found)?;
    show(&found, desk)?;
    if !args.yes
        && !desk.confirms(&format!(
            "trust this to narrow what agents may do in {}?",
            safe(&project.display().to_string())
        ))?
    {
        desk.voice.say("nothing was changed")?;
        return Ok(exit::NO);
    }
    // Exactly the bytes that were shown are trusted, whatever has happened to the files since.
    trust::remember(&desk.places, project, &found.digest)?;
    desk.voice.say(&format!(
        "trusted {} as of sha256:{}",
        safe(&project.display().to_string()),
        found.digest
    ))?;
    Ok(exit::DONE)
}

fn show(project: &Project, desk: &mut Desk<'_>) -> Result<(), Failure> {
    for source in project.config.iter().chain(&project.policies) {
        let title = desk.voice.paint(Paint::Bold, &safe(&source.path.display().to_string()));
        writeln!(desk.voice.out(), "{title}")?;
        for line in source.text.lines() {
            writeln!(desk.voice.out(), "  {}", safe(line))?;
        }
    }
    Ok(())
}

fn forget(project: &Path, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if trust::forget(&desk.places, project)? {
        desk.voice.say(&format!("forgot {}", safe(&project.display().to_string())))?;
        return Ok(exit::DONE);
    }
    let problem = Problem::new(format!("`{}` was not trusted", project.display()));
    Err(Failure::new(exit::NO, problem.hint("see those that are: bartizan trust --list")))
}

fn list(json: bool, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut rows: Vec<(PathBuf, &str, String)> = Vec::new();
    for known in trust::all(&desk.places)? {
        let standing = match trust::standing(&desk.places, &known.project) {
            Ok(Standing::Trusted(_)) => "trusted",
            Ok(Standing::Changed(_)) => "changed",
            Ok(Standing::Gone) => "gone",
            Ok(Standing::Absent | Standing::Unknown(_)) | Err(_) => "unreadable",
        };
        rows.push((known.project, standing, known.digest));
    }
    if json {
        let rows: Vec<_> = rows.iter().map(|(project, standing, digest)| json!({ "project": project, "standing": standing, "digest": digest })).collect();
        writeln!(desk.voice.out(), "{}", json!(rows))?;
        return Ok(exit::DONE);
    }
    for (project, standing, _) in &rows {
        let paint = if *standing == "trusted" { Paint::Green } else { Paint::Red };
        let word = desk.voice.paint(paint, &format!("{standing:<10}"));
        writeln!(desk.voice.out(), "{word} {}", safe(&quoted(project)))?;
    }
    Ok(exit::DONE)
}
