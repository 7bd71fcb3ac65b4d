//! Which box does a role get? Settings as far as they are said, put over what is inherited, over the defaults.

use super::check::{self, Flaw};
use super::page::Page;
use super::places::Places;
use super::raw::{At, RawBox};
use super::settings::{BoxSettings, Network, Rest, WorkspaceMode};
use super::units;
use crate::report::Problem;
use std::path::PathBuf;
use std::time::Duration;

/// Box settings as far as a role says them itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct BoxDraft {
    workspace: Option<WorkspaceMode>,
    folder: Option<PathBuf>,
    rest: Option<Rest>,
    network: Option<Network>,
    readable: Option<Vec<PathBuf>>,
    env: Option<Vec<String>>,
    memory: Option<u64>,
    pids: Option<u64>,
    cpu: Option<u32>,
    wall: Option<Duration>,
    file_size: Option<u64>,
    open_files: Option<u64>,
    overlay_size: Option<u64>,
    output: Option<u64>,
}

const MIB: u64 = 1 << 20;

impl BoxDraft {
    /// Parses each setting, or notes on the page what is wrong with it.
    pub(super) fn read(page: &mut Page<'_>, raw: &RawBox, places: &Places) -> Self {
        Self {
            workspace: page.take_option(raw.workspace.as_ref(), |text| check::workspace_mode(text)),
            folder: page.take_option(raw.folder.as_ref(), |text| check::folder(text)),
            rest: page.take_option(raw.rest.as_ref(), |text| check::rest(text)),
            network: page.take_option(raw.network.as_ref(), |text| check::network(text)),
            readable: page.list(raw.readable.as_ref(), |text| check::readable(text, places)),
            env: page.list(raw.env.as_ref(), |text| check::variable(text)),
            memory: page.take_option(raw.memory.as_ref(), |text| bytes(text, 64 * MIB)),
            pids: page.take_option(raw.pids.as_ref(), |number| count(*number, 8, 65_536)),
            cpu: page.take_option(raw.cpu.as_ref(), |text| check::cpu(text)),
            wall: page.take_option(raw.wall.as_ref(), |text| wall(text)),
            file_size: page.take_option(raw.file_size.as_ref(), |text| bytes(text, MIB)),
            open_files: page
                .take_option(raw.open_files.as_ref(), |number| count(*number, 64, 1 << 20)),
            overlay_size: page.take_option(raw.overlay_size.as_ref(), |text| bytes(text, MIB)),
            output: page.take_option(raw.output.as_ref(), |text| bytes(text, 1 << 10)),
        }
    }

    /// Whether anything is set at all.
    pub(super) fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Puts a later layer's word over this one; lists add up.
    pub(super) fn overlay(&mut self, later: Self) {
        let earlier = std::mem::replace(self, later);
        self.inherit(&earlier);
    }

    /// Takes from `parent` what is not said here; lists add up.
    pub(super) fn inherit(&mut self, parent: &Self) {
        self.workspace = self.workspace.or(parent.workspace);
        self.folder = self.folder.take().or_else(|| parent.folder.clone());
        self.rest = self.rest.or(parent.rest);
        self.network = self.network.or(parent.network);
        add(&mut self.readable, parent.readable.as_deref());
        add(&mut self.env, parent.env.as_deref());
        self.memory = self.memory.or(parent.memory);
        self.pids = self.pids.or(parent.pids);
        self.cpu = self.cpu.or(parent.cpu);
        self.wall = self.wall.or(parent.wall);
        self.file_size = self.file_size.or(parent.file_size);
        self.open_files = self.open_files.or(parent.open_files);
        self.overlay_size = self.overlay_size.or(parent.overlay_size);
        self.output = self.output.or(parent.output);
    }

    /// The settings, with the defaults for what nobody said.
    pub(super) fn settings(self) -> BoxSettings {
        let default = BoxSettings::default();
        BoxSettings {
            workspace: self.workspace.unwrap_or(default.workspace),
            folder: self.folder,
            rest: self.rest.unwrap_or(default.rest),
            network: self.network.unwrap_or(default.network),
            readable: self.readable.unwrap_or(default.readable),
            env: self.env.unwrap_or(default.env),
            memory_bytes: self.memory.unwrap_or(default.memory_bytes),
            pids: self.pids.unwrap_or(default.pids),
            cpu_percent: self.cpu,
            wall: self.wall.unwrap_or(default.wall),
            file_size_bytes: self.file_size.unwrap_or(default.file_size_bytes),
            open_files: self.open_files.unwrap_or(default.open_files),
            overlay_size_bytes: self.overlay_size.unwrap_or(default.overlay_size_bytes),
            output_bytes: self.output,
        }
    }

    /// Makes `settings` smaller by what is said here; whatever would make them larger is noted on the page.
    pub(super) fn narrow(self, settings: &mut BoxSettings, raw: &RawBox, page: &mut Page<'_>) {
        lower(page, raw.workspace.as_ref(), self.workspace, &mut settings.workspace);
        if settings.folder.is_some() {
            lower(page, raw.rest.as_ref(), self.rest, &mut settings.rest);
        } else {
            // All of it could be written until now, so either is less.
            settings.rest = self.rest.unwrap_or(settings.rest);
        }
        lower(page, raw.network.as_ref(), self.network, &mut settings.network);
        within(page, raw.folder.as_ref(), self.folder, &mut settings.folder);
        cap(page, raw.cpu.as_ref(), self.cpu, &mut settings.cpu_percent);
        cap(page, raw.output.as_ref(), self.output, &mut settings.output_bytes);
        lower(page, raw.memory.as_ref(), self.memory, &mut settings.memory_bytes);
        lower(page, raw.pids.as_ref(), self.pids, &mut settings.pids);
        lower(page, raw.wall.as_ref(), self.wall, &mut settings.wall);
        lower(page, raw.file_size.as_ref(), self.file_size, &mut settings.file_size_bytes);
        lower(page, raw.open_files.as_ref(), self.open_files, &mut settings.open_files);
        lower(page, raw.overlay_size.as_ref(), self.overlay_size, &mut settings.overlay_size_bytes);
        keep(page, raw.readable.as_ref(), self.readable, &mut settings.readable);
        keep(page, raw.env.as_ref(), self.env, &mut settings.env);
    }
}

/// A project's limit takes the place of a larger one.
fn lower<T: PartialOrd, R>(
    page: &mut Page<'_>,
    raw: Option<&At<R>>,
    said: Option<T>,
    setting: &mut T,
) {
    let Some((raw, said)) = raw.zip(said) else { return };
    if said > *setting {
        page.complain(
            raw.span(),
            Problem::new("a project can only narrow, and this is wider than what stands above it"),
        );
    } else {
        *setting = said;
    }
}

/// A project's limit takes the place of a larger one, or of none.
fn cap<T: PartialOrd, R>(
    page: &mut Page<'_>,
    raw: Option<&At<R>>,
    said: Option<T>,
    setting: &mut Option<T>,
) {
    match setting {
        Some(setting) => lower(page, raw, said, setting),
        None => *setting = said,
    }
}

/// A project's folder lies in the one that stands above it.
fn within(
    page: &mut Page<'_>,
    raw: Option<&At<String>>,
    said: Option<PathBuf>,
    setting: &mut Option<PathBuf>,
) {
    let Some((raw, said)) = raw.zip(said) else { return };
    if setting.as_ref().is_some_and(|above| !said.starts_with(above)) {
        let problem = Problem::new(
            "a project can only narrow, and this is outside the folder that stands above it",
        );
        page.complain(raw.span(), problem.hint("name a folder inside it"));
    } else {
        *setting = Some(said);
    }
}

/// A project's list takes the place of a longer one.
fn keep<T: PartialEq>(
    page: &mut Page<'_>,
    raw: Option<&At<Vec<At<String>>>>,
    said: Option<Vec<T>>,
    setting: &mut Vec<T>,
) {
    let Some((raw, said)) = raw.zip(said) else { return };
    if said.iter().all(|entry| setting.contains(entry)) {
        *setting = said;
    } else {
        page.complain(
            raw.span(),
            Problem::new("a project can only narrow, and this names what does not stand above it"),
        );
    }
}

fn add<T: Clone + PartialEq>(list: &mut Option<Vec<T>>, more: Option<&[T]>) {
    let Some(more) = more else { return };
    let list = list.get_or_insert_default();
    for entry in more {
        if !list.contains(entry) {
            list.push(entry.clone());
        }
    }
}

fn bytes(text: &str, least: u64) -> Result<u64, Flaw> {
    match units::size(text) {
        Ok(bytes) if bytes >= least => Ok(bytes),
        Ok(_) => Err((
            format!("`{text}` is too little"),
            Some(format!("at least {}", units::show_size(least))),
        )),
        Err(why) => Err((format!("`{text}` is not a size"), Some(why.to_owned()))),
    }
}

fn count(number: u64, least: u64, most: u64) -> Result<u64, Flaw> {
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err((format!("`{number}` is not within {least} to {most}"), None))
    }
}

fn wall(text: &str) -> Result<Duration, Flaw> {
    match units::duration(text) {
        Ok(wall) if wall.is_zero() => Err(("a run needs some time".to_owned(), None)),
        Ok(wall) if wall > Duration::from_hours(30 * 24) => {
            Err((format!("`{text}` is too long"), Some("at most 30d".to_owned())))
        }
        Ok(wall) => Ok(wall),
        Err(why) => Err((format!("`{text}` is not a duration"), Some(why.to_owned()))),
    }
}
