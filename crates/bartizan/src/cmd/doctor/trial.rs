//! Does a box really stand here? The only sure answer is to build one, with nothing in it but `true`.

use super::{Finding, Standing};
use crate::cmd::run::FOLDERS;
use bartizan_sandbox::{
    Accept, BoxSpec, Enforcement, Limits, Stdio, Strength, Tier, WorkspaceMode, start,
};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The finding that tells whether a box stands here.
pub(super) const NAME: &str = "trial box";
/// Findings that only tier A depends on.
pub(super) const TIER_A_NEEDS: [&str; 3] = ["user namespaces", "overlayfs", "nftables"];

/// Builds a box, runs `true` in it, and says what the kernel enforced; the first finding is the box itself.
pub(super) fn findings() -> Vec<Finding> {
    let begun = Instant::now();
    match attempt() {
        Ok(report) => {
            let took = format!(
                "tier {}: built, ran `true` and ended in {} ms",
                report.tier(),
                begun.elapsed().as_millis()
            );
            let built = match report.tier() {
                Tier::A => Finding::ok(NAME, took),
                Tier::B => Finding::weak(
                    NAME,
                    took,
                    "what is absent below is what tier A adds; give it user namespaces, as said above",
                ),
            };
            std::iter::once(built).chain(report.items().iter().map(item)).collect()
        }
        Err(why) => {
            let (what, remedy) =
                why.split_once("\n  hint: ").unwrap_or((&why, "see the other findings"));
            vec![Finding::missing(NAME, what, remedy)]
        }
    }
}

fn item(item: &bartizan_sandbox::Item) -> Finding {
    let standing = match item.strength {
        Strength::Kernel => Standing::Ok,
        // Nobody keeps time better than who watches the clock.
        Strength::Watched if item.name == "wall clock" => Standing::Ok,
        Strength::Watched | Strength::Absent => Standing::Weak,
    };
    Finding {
        name: item.name,
        standing,
        found: format!("{}: {}", item.strength, item.detail),
        remedy: None,
    }
}

fn attempt() -> Result<Enforcement, String> {
    let workspace = Folder::make().map_err(|error| format!("no folder for a trial: {error}"))?;
    let spec = specify(&workspace.0);
    let accept = Accept::OrB { folders: FOLDERS.into() };
    let mut running = start(&spec, &accept).map_err(|error| error.to_string())?;
    let exit = running.life.wait().map_err(|error| format!("the trial box was lost: {error}"))?;
    match exit.code() {
        0 => Ok(running.report),
        code => Err(format!("`true` ended with {code} in the trial box")),
    }
}

fn specify(workspace: &Path) -> BoxSpec {
    let program =
        ["/usr/bin/true", "/bin/true"].map(PathBuf::from).into_iter().find(|path| path.exists());
    let program = program.unwrap_or_else(|| "/bin/true".into());
    BoxSpec {
        workspace: workspace.to_path_buf(),
        workspace_mode: WorkspaceMode::Overlay { size_bytes: 1 << 20, inodes: 100 },
        argv: vec![program.clone().into()],
        program,
        env: Vec::new(),
        cwd: workspace.to_path_buf(),
        home: "/home/agent".into(),
        readable: Vec::new(),
        synthetic: Vec::new(),
        sockets: Vec::new(),
        network: bartizan_sandbox::Reach::Captured,
        inner_boxes: false,
        keep_home: false,
        never_visible: Vec::new(),
        limits: Limits { wall: Some(Duration::from_secs(20)), ..Limits::ordinary() },
        user: "agent".to_owned(),
        stdio: Stdio::piped(),
    }
}

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        let path = std::env::temp_dir()
            .canonicalize()?
            .join(format!("bartizan-doctor-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // An empty folder that stays behind in /tmp harms nobody.
        drop(fs::remove_dir_all(&self.0));
    }
}
