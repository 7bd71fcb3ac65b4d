//! Would a tool of the host execute or obey this path?

use super::change::{DropReason, HoldReason, Notable, Verdict};
use super::fold::{fold, is_short_for};
use super::git::{self, GitPlace};
use super::list::BARE_PARTS;

/// Where a directory stands, as far as judging its entries goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The folded names from the workspace down.
    pub(crate) folded: Vec<String>,
    /// How many of them name the git directory that this is in, when it is in one.
    pub(crate) git_root: Option<usize>,
    /// Set when nothing below here lands either.
    pub(crate) withheld: Option<Verdict>,
    /// The session completed a bare repository here.
    pub(crate) bare: bool,
}

/// The entry being judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) form: Form<'a>,
    /// The host has nothing by this name.
    pub(crate) is_new: bool,
}

/// What the session made of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form<'a> {
    /// A directory, adding to the host's if there is one.
    Dir,
    /// A directory in the place of what the host has there.
    NewDir,
    /// Anything with contents.
    File,
    /// Nothing any more.
    Gone,
    /// A link and where it points.
    Link(&'a [u8]),
}

/// What judging by name came to.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) contents: Option<Contents>,
    pub(crate) notable: Option<Notable>,
    pub(crate) in_git_unit: bool,
    /// The place to judge its entries from, when it is a directory.
    pub(crate) inside: Place,
}

/// A verdict that also depends on what the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Git configuration.
    GitConfig,
    /// Git attributes.
    GitAttributes,
}

impl Place {
    /// Judges one entry of this directory.
    pub(crate) fn judge(&self, entry: Entry<'_>) -> Judgement {
        let folded = fold(entry.name);
        let mut inside = self.clone();
        inside.folded.push(folded.clone());
        inside.bare = false;
        let mut judged = Judgement {
            verdict: Verdict::Apply,
            contents: None,
            notable: None,
            in_git_unit: false,
            inside,
        };
        if let Some(withheld) = &self.withheld {
            judged.verdict = withheld.clone();
        } else if let Some(root) = self.git_root {
            judged.judge_in_git(root, entry);
        } else {
            self.judge_name(&folded, entry, &mut judged);
        }
        judged
    }

    fn judge_name(&self, folded: &str, entry: Entry<'_>, judged: &mut Judgement) {
        if self.bare && BARE_PARTS.contains(&folded) {
            return judged.withhold(HoldReason::BareRepository);
        }
        if folded == ".git" && entry.name == b".git" {
            if entry.form != Form::Dir {
                return judged.withhold(HoldReason::GitDir);
            }
            judged.inside.git_root = Some(judged.inside.folded.len());
            let nested = entry.is_new && !self.folded.is_empty();
            judged.notable = nested.then_some(Notable::NestedRepository);
            return;
        }
        if let Some(reason) = protected(self.folded.last().map(String::as_str), folded, entry.name)
        {
            return judged.withhold(reason);
        }
        match entry.form {
            // What lies behind it would be obeyed under this name and judged under another.
            Form::Link(_) if PAIRS.iter().any(|(dir, _, _)| folded == *dir) => {
                judged.withhold(HoldReason::Lookalike { of: format!("{folded}/") });
            }
            Form::Link(target) if leads_out(target, self.folded.len()) => {
                judged.withhold(HoldReason::OutwardLink);
            }
            Form::Dir | Form::NewDir | Form::Link(_) if folded == ".gitattributes" => {
                judged
                    .withhold(HoldReason::GitAttributes { line: "not a regular file".to_owned() });
            }
            Form::File if folded == ".gitattributes" => {
                judged.contents = Some(Contents::GitAttributes);
            }
            Form::File | Form::Link(_) => judged.notable = self.notable(folded),
            Form::Dir | Form::NewDir | Form::Gone => {}
        }
    }

    /// Installed packages bring thousands of build files of their own; only the workspace's are worth a person's eye.
    fn notable(&self, folded: &str) -> Option<Notable> {
        if self
            .folded
            .iter()
            .any(|dir| matches!(dir.as_str(), "node_modules" | "site-packages" | "vendor"))
        {
            return None;
        }
        let parent = self.folded.last().map(String::as_str);
        if INSTRUCTIONS.contains(&folded) {
            Some(Notable::Instructions)
        } else if folded == ".env" || folded.starts_with(".env.") {
            Some(Notable::Environment)
        } else if BUILD_ENTRIES.contains(&folded)
            || (parent == Some(".cargo") && folded.starts_with("config"))
            || is_build_shape(folded)
        {
            Some(Notable::BuildEntry)
        } else {
            None
        }
    }
}

impl Judgement {
    fn judge_in_git(&mut self, root: usize, entry: Entry<'_>) {
        let names = self.inside.folded.get(root..).unwrap_or_default();
        // Without one of these it is no repository, and git looks for another around it.
        let lost = match names {
            [name] if name == "head" => entry.form == Form::Gone,
            [name] if name == "objects" || name == "refs" => entry.form != Form::Dir,
            _ => false,
        };
        if lost {
            return self.withhold(HoldReason::GitDir);
        }
        let is_dir = matches!(entry.form, Form::Dir | Form::NewDir);
        match git::place(names, is_dir, matches!(entry.form, Form::Link(_)), entry.is_new) {
            GitPlace::Object | GitPlace::Plain => {}
            GitPlace::Unit => self.in_git_unit = true,
            GitPlace::Config if entry.form == Form::Gone => {
                self.withhold(HoldReason::GitConfig { key: "config".to_owned(), value: None });
            }
            GitPlace::Config => self.contents = Some(Contents::GitConfig),
            GitPlace::Withheld(verdict, below) => {
                self.inside.withheld = below.then(|| verdict.clone());
                self.verdict = verdict;
            }
        }
    }

    /// Holds the entry and all below it.
    fn withhold(&mut self, reason: HoldReason) {
        self.verdict = Verdict::Hold(reason);
        self.inside.withheld = Some(self.verdict.clone());
    }

    /// Drops the entry.
    pub(crate) fn discard(&mut self, reason: DropReason) {
        self.verdict = Verdict::Drop(reason);
        self.inside.withheld = Some(self.verdict.clone());
    }

    /// Holds the entry and all below it, for a reason seen elsewhere; a verdict that is already stricter stays.
    pub(crate) fn hold(&mut self, reason: HoldReason) {
        if self.verdict == Verdict::Apply {
            self.withhold(reason);
        }
    }
}

/// The places at the top of a workspace that tools of the host look into, for finding out where links there lead.
pub(crate) fn obeyed_places() -> impl Iterator<Item = &'static str> {
    let pairs = PAIRS.iter().map(|(dir, _, _)| *dir);
    NAMES.iter().map(|(name, _)| *name).chain(pairs).chain([
        ".git/hooks",
        ".gitattributes",
        ".cargo",
    ])
}

/// Names that tools of the host execute or obey at the top of a workspace, for where no gate judges what is written there.
pub(crate) fn obeyed_names() -> impl Iterator<Item = &'static str> {
    let mut directories: Vec<_> = PAIRS.iter().map(|(dir, _, _)| *dir).collect();
    directories.dedup();
    [".git", ".gitattributes"]
        .into_iter()
        .chain(NAMES.iter().map(|(name, _)| *name))
        .chain(directories)
}

/// Whether a link, `depth` directories below the workspace, could lead out of it.
///
/// After a name that is not `..`, a `..` climbs from wherever that name leads, which may be another link: only leading ones are counted on.
fn leads_out(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    let mut names = target.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let climbs = names.by_ref().take_while(|name| *name == b"..").count();
    climbs > depth || names.any(|name| name == b"..")
}

/// Why an entry with this (folded) name in a directory called `parent` is held, if it is.
fn protected(parent: Option<&str>, folded: &str, raw: &[u8]) -> Option<HoldReason> {
    // A backslash is a separator on the file systems that also fold case.
    if folded.contains('\\') {
        let mut above = parent.map(str::to_owned);
        for part in folded.split('\\') {
            if part == ".git" || protected(above.as_deref(), part, part.as_bytes()).is_some() {
                return Some(HoldReason::Lookalike { of: part.to_owned() });
            }
            above = Some(part.to_owned());
        }
    }
    if folded == ".git" {
        return Some(HoldReason::Lookalike { of: ".git".to_owned() });
    }
    for (name, reason) in NAMES {
        if folded.eq_ignore_ascii_case(name) {
            return Some(if raw == name.as_bytes() {
                reason()
            } else {
                HoldReason::Lookalike { of: (*name).to_owned() }
            });
        }
    }
    for (dir, name, reason) in PAIRS {
        if parent == Some(dir) && folded.starts_with(name) {
            return Some(reason());
        }
    }
    for (suffix, reason) in SUFFIXES {
        if folded.ends_with(suffix) {
            return Some(reason());
        }
    }
    let taken = NAMES.iter().map(|(name, _)| *name).chain([".git", ".gitattributes"]);
    taken
        .filter(|_| folded.contains('~'))
        .find(|name| is_short_for(folded, name))
        .map(|name| HoldReason::Lookalike { of: name.to_owned() })
        .or_else(|| {
            (folded == ".gitattributes" && raw != b".gitattributes")
                .then(|| HoldReason::Lookalike { of: ".gitattributes".to_owned() })
        })
}

fn is_build_shape(folded: &str) -> bool {
    let has = |suffixes: &[&str]| suffixes.iter().any(|s| folded.ends_with(s));
    has(&[
        ".config.js",
        ".config.ts",
        ".config.mjs",
        ".config.cjs",
        ".mk",
        ".cmake",
        ".gradle",
        ".gradle.kts",
        ".pth",
        ".csproj",
        ".targets",
        ".props",
        ".gemspec",
        ".bzl",
    ]) || folded.starts_with("dockerfile")
        || (folded.contains("rc.") && has(&[".js", ".cjs", ".mjs"]))
}

type Reason = fn() -> HoldReason;

const AGENT: Reason = || HoldReason::AgentSettings;
const CI: Reason = || HoldReason::Ci;
const COMMIT: Reason = || HoldReason::CommitHooks;
const IDE: Reason = || HoldReason::IdeSettings;
const MODULES: Reason = || HoldReason::GitModules;
const SHELL: Reason = || HoldReason::ShellStartup;

/// Names held at any depth, with all below them.
const NAMES: &[(&str, Reason)] = &[
    (".gitmodules", MODULES),
    (".lfsconfig", MODULES),
    (".agents", AGENT),
    (".aider.conf.yml", AGENT),
    (".amazonq", AGENT),
    (".bartizan", AGENT),
    (".claude", AGENT),
    (".claude-plugin", AGENT),
    (".claude.json", AGENT),
    (".cline", AGENT),
    (".codex", AGENT),
    (".continue", AGENT),
    (".copilot", AGENT),
    (".cursor", AGENT),
    (".gemini", AGENT),
    (".goose", AGENT),
    (".junie", AGENT),
    (".kiro", AGENT),
    (".mcp.json", AGENT),
    ("mcp.json", AGENT),
    (".opencode", AGENT),
    ("opencode.json", AGENT),
    ("opencode.jsonc", AGENT),
    (".qwen", AGENT),
    (".roo", AGENT),
    (".windsurf", AGENT),
    (".devcontainer", IDE),
    (".devcontainer.json", IDE),
    (".dir-locals.el", IDE),
    (".dir-locals-2.el", IDE),
    (".exrc", IDE),
    (".fleet", IDE),
    (".gdbinit", IDE),
    (".gitpod.yml", IDE),
    (".idea", IDE),
    (".lldbinit", IDE),
    (".nvim.lua", IDE),
    (".nvimrc", IDE),
    (".project", IDE),
    (".run", IDE),
    (".sublime-project", IDE),
    (".vim", IDE),
    (".vimrc", IDE),
    (".vs", IDE),
    (".vscode", IDE),
    (".zed", IDE),
    (".autoenv", SHELL),
    (".autoenv.zsh", SHELL),
    (".bash_login", SHELL),
    (".bash_logout", SHELL),
    (".bash_profile", SHELL),
    (".bashrc", SHELL),
    (".direnv", SHELL),
    (".envrc", SHELL),
    (".mise", SHELL),
    (".mise.local.toml", SHELL),
    (".mise.toml", SHELL),
    ("mise.local.toml", SHELL),
    ("mise.toml", SHELL),
    (".profile", SHELL),
    (".zlogin", SHELL),
    (".zprofile", SHELL),
    (".zshenv", SHELL),
    (".zshrc", SHELL),
    (".githooks", COMMIT),
    (".husky", COMMIT),
    (".huskyrc", COMMIT),
    (".lefthook.yaml", COMMIT),
    (".lefthook.yml", COMMIT),
    ("lefthook.yaml", COMMIT),
    ("lefthook.yml", COMMIT),
    (".lefthook", COMMIT),
    (".overcommit.yml", COMMIT),
    (".pre-commit-config.yaml", COMMIT),
    (".pre-commit-config.yml", COMMIT),
    (".pre-commit-hooks.yaml", COMMIT),
    ("simple-git-hooks.js", COMMIT),
    (".simple-git-hooks.js", COMMIT),
    (".simple-git-hooks.json", COMMIT),
    (".appveyor.yml", CI),
    (".azure-pipelines", CI),
    (".build.yml", CI),
    (".builds", CI),
    (".buildkite", CI),
    (".ci", CI),
    (".circleci", CI),
    (".cirrus.yml", CI),
    (".cirrus.star", CI),
    (".drone.yml", CI),
    (".gitlab-ci.yml", CI),
    (".semaphore", CI),
    (".teamcity", CI),
    (".tekton", CI),
    (".travis.yml", CI),
    (".woodpecker", CI),
    (".woodpecker.yml", CI),
    (".woodpecker.yaml", CI),
    ("Jenkinsfile", CI),
    ("appveyor.yml", CI),
    ("azure-pipelines.yml", CI),
    ("bitbucket-pipelines.yml", CI),
    ("cloudbuild.yaml", CI),
    ("cloudbuild.yml", CI),
];

/// `(directory, start of the name)` held at any depth, with all below them.
const PAIRS: &[(&str, &str, Reason)] = &[
    (".github", "workflows", CI),
    (".github", "actions", CI),
    (".github", "hooks", AGENT),
    (".github", "agents", AGENT),
    (".gitea", "workflows", CI),
    (".forgejo", "workflows", CI),
    (".gitlab", "ci", CI),
    (".config", "mise", SHELL),
    (".config", "lefthook", COMMIT),
    (".config", "husky", COMMIT),
];

const SUFFIXES: &[(&str, Reason)] =
    &[(".code-workspace", IDE), (".sublime-project", IDE), (".jenkinsfile", CI)];

/// Text that agents are told by; nothing executes it, and projects keep it under review like other text.
const INSTRUCTIONS: &[&str] = &[
    "agents.md",
    "claude.md",
    "claude.local.md",
    "gemini.md",
    "copilot-instructions.md",
    ".cursorrules",
    ".windsurfrules",
    ".clinerules",
    ".goosehints",
];

/// Files that a build, test or package tool executes or takes commands from (folded).
const BUILD_ENTRIES: &[&str] = &[
    ".babelrc",
    ".bazelrc",
    ".bundle",
    ".eslintrc",
    ".npmrc",
    ".pnpmfile.cjs",
    ".rspec",
    ".tool-versions",
    ".yarnrc",
    ".yarnrc.yml",
    "brakefile",
    "build.bazel",
    "build.rs",
    "build.sbt",
    "build.xml",
    "build.zig",
    "cargo.toml",
    "cmakelists.txt",
    "compose.yaml",
    "compose.yml",
    "composer.json",
    "configure",
    "configure.ac",
    "conftest.py",
    "containerfile",
    "default.nix",
    "deno.json",
    "devbox.json",
    "docker-compose.yaml",
    "docker-compose.yml",
    "earthfile",
    "flake.nix",
    "gemfile",
    "gnumakefile",
    "gradlew",
    "gruntfile.js",
    "gulpfile.js",
    "justfile",
    "makefile",
    "meson.build",
    "mix.exs",
    "module.bazel",
    "mvnw",
    "noxfile.py",
    "package.json",
    "pom.xml",
    "procfile",
    "pyproject.toml",
    "pyvenv.cfg",
    "rakefile",
    "rebar.config",
    "rust-toolchain",
    "rust-toolchain.toml",
    "sconstruct",
    "setup.cfg",
    "setup.py",
    "shell.nix",
    "sitecustomize.py",
    "taskfile.yml",
    "tox.ini",
    "usercustomize.py",
    "vagrantfile",
    "wscript",
];
