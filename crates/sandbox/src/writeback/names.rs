//! Which names do the host's tools execute or obey?
use super::change::{HoldReason, Notable};
use super::fold::{fold, is_short_for};

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

/// Whether a tool of the host could obey an entry of this name at the top of a workspace, or take it for one that it obeys.
pub(crate) fn is_obeyed(name: &[u8]) -> bool {
    let folded = fold(name);
    obeyed_names().any(|obeyed| folded.eq_ignore_ascii_case(obeyed))
        || protected(None, &folded, name).is_some()
}

/// Whether only some entries of a directory of this (folded) name are held.
pub(super) fn is_shared_folder(folded: &str) -> bool {
    PAIRS.iter().any(|(dir, _, _)| folded == *dir)
}

/// What a person should know of a file with this (folded) name in a directory called `parent`, though it lands.
pub(super) fn notable(parent: Option<&str>, folded: &str) -> Option<Notable> {
    if INSTRUCTIONS.contains(&folded) {
        Some(Notable::Instructions)
    } else if folded == ".env" || folded.starts_with(".env.") {
        Some(Notable::Environment)
    } else if BUILD_ENTRIES.contains(&folded)
        || (parent == Some(".cargo") && folded.starts_with("config"))
        || parent == Some(".mvn")
        || is_build_shape(folded)
    {
        Some(Notable::BuildEntry)
    } else {
        None
    }
}

/// Why an entry with this (folded) name in a directory called `parent` is held, if it is.
pub(super) fn protected(parent: Option<&str>, folded: &str, raw: &[u8]) -> Option<HoldReason> {
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
    let begins = |(start, end, reason): &(&str, &str, Reason)| {
        (folded.starts_with(start) && folded.ends_with(end)).then(reason)
    };
    if let Some(reason) = SHAPES.iter().find_map(begins) {
        return Some(reason);
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
        || (folded.starts_with("docker-compose.") || folded.starts_with("compose."))
            && has(&[".yml", ".yaml"])
        || (folded.contains("rc.") && has(&[".js", ".cjs", ".mjs"]))
        // `.prettierrc`, `.lintstagedrc.json`, `.pylintrc`: they name plugins, or commands.
        || folded.starts_with('.')
            && (has(&["rc"]) || folded.contains("rc.") && has(&[".json", ".yml", ".yaml", ".toml"]))
}

type Reason = fn() -> HoldReason;

const AGENT: Reason = || HoldReason::AgentSettings;
const CI: Reason = || HoldReason::Ci;
const COMMIT: Reason = || HoldReason::CommitHooks;
const IDE: Reason = || HoldReason::IdeSettings;
const MODULES: Reason = || HoldReason::GitModules;
const REPOSITORY: Reason = || HoldReason::OtherRepository;
const SHELL: Reason = || HoldReason::ShellStartup;

/// Names held at any depth, with all below them.
const NAMES: &[(&str, Reason)] = &[
    (".gitmodules", MODULES),
    (".lfsconfig", MODULES),
    (".hgsub", MODULES),
    (".bzr", REPOSITORY),
    (".hg", REPOSITORY),
    (".jj", REPOSITORY),
    (".pijul", REPOSITORY),
    (".sl", REPOSITORY),
    (".svn", REPOSITORY),
    ("_darcs", REPOSITORY),
    (".agent", AGENT),
    (".agents", AGENT),
    (".aider.conf.yml", AGENT),
    (".amazonq", AGENT),
    (".amp", AGENT),
    (".antigravity", AGENT),
    (".augment", AGENT),
    (".bartizan", AGENT),
    (".claude", AGENT),
    (".claude-plugin", AGENT),
    (".claude.json", AGENT),
    (".cline", AGENT),
    (".codebuddy", AGENT),
    (".codebuff", AGENT),
    ("codebuff.json", AGENT),
    (".codex", AGENT),
    (".commandcode", AGENT),
    ("conductor.json", AGENT),
    (".continue", AGENT),
    (".continuerc.json", AGENT),
    (".copilot", AGENT),
    (".crush", AGENT),
    (".crush.json", AGENT),
    ("crush.json", AGENT),
    (".cursor", AGENT),
    (".factory", AGENT),
    (".gemini", AGENT),
    (".goose", AGENT),
    (".grok", AGENT),
    (".iflow", AGENT),
    (".junie", AGENT),
    (".kilocode", AGENT),
    (".kilocodemodes", AGENT),
    (".kimi", AGENT),
    (".kiro", AGENT),
    (".kode", AGENT),
    (".lsp.json", AGENT),
    (".mcp.json", AGENT),
    (".mcpjam", AGENT),
    (".mux", AGENT),
    (".neovate", AGENT),
    ("mcp.json", AGENT),
    (".opencode", AGENT),
    (".opencode.json", AGENT),
    ("opencode.json", AGENT),
    ("opencode.jsonc", AGENT),
    (".openhands", AGENT),
    (".pi", AGENT),
    (".pochi", AGENT),
    (".qoder", AGENT),
    (".qwen", AGENT),
    (".roo", AGENT),
    (".roomodes", AGENT),
    (".tabnine", AGENT),
    (".trae", AGENT),
    (".vibe", AGENT),
    (".windsurf", AGENT),
    (".zencoder", AGENT),
    (".devcontainer", IDE),
    (".devcontainer.json", IDE),
    (".bsp", IDE),
    (".byebugrc", IDE),
    (".classpath", IDE),
    (".dir-locals.el", IDE),
    (".dir-locals-2.el", IDE),
    (".exrc", IDE),
    // Annotation processors, which Eclipse and what is built on it run as soon as a folder is open.
    (".factorypath", IDE),
    (".fleet", IDE),
    (".gdbinit", IDE),
    (".ghci", IDE),
    (".ghcid", IDE),
    (".gitpod.yml", IDE),
    (".helix", IDE),
    (".idea", IDE),
    (".iex.exs", IDE),
    (".irbrc", IDE),
    (".lazy.lua", IDE),
    (".lldbinit", IDE),
    (".local.vimrc", IDE),
    (".lvimrc", IDE),
    (".nova", IDE),
    (".nvim.lua", IDE),
    (".nvimrc", IDE),
    (".ocamlinit", IDE),
    (".octaverc", IDE),
    (".pdbrc", IDE),
    (".perldb", IDE),
    (".project", IDE),
    (".pryrc", IDE),
    (".psysh.php", IDE),
    // A workspace of R's, whose `.First` is called as it is read.
    (".RData", IDE),
    (".Renviron", IDE),
    (".Rprofile", IDE),
    (".run", IDE),
    (".settings", IDE),
    (".sublime-project", IDE),
    (".vim", IDE),
    (".vimrc", IDE),
    (".vimspector.json", IDE),
    (".vs", IDE),
    (".vscode", IDE),
    (".ycm_extra_conf.py", IDE),
    (".zed", IDE),
    // Which commands check and format, of rust-analyzer.
    ("rust-analyzer.toml", IDE),
    (".rust-analyzer.toml", IDE),
    (".autoenv", SHELL),
    (".autoenv.zsh", SHELL),
    (".bash_login", SHELL),
    (".bash_logout", SHELL),
    (".bash_profile", SHELL),
    (".bashrc", SHELL),
    (".direnv", SHELL),
    (".envrc", SHELL),
    (".mise", SHELL),
    (".mise.toml", SHELL),
    ("mise.toml", SHELL),
    (".profile", SHELL),
    (".rvmrc", SHELL),
    (".shadowenv.d", SHELL),
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
    (".azuredevops", CI),
    (".bazelci", CI),
    (".build.yml", CI),
    (".builds", CI),
    (".buildkite", CI),
    (".ci", CI),
    (".circleci", CI),
    (".cirrus.yml", CI),
    (".cirrus.star", CI),
    (".drone.yml", CI),
    (".drone.jsonnet", CI),
    (".drone.star", CI),
    (".gitlab-ci.yml", CI),
    (".harness", CI),
    (".packit.yaml", CI),
    (".packit.yml", CI),
    (".readthedocs.yaml", CI),
    (".readthedocs.yml", CI),
    (".semaphore", CI),
    (".teamcity", CI),
    (".tekton", CI),
    (".travis.yml", CI),
    (".woodpecker", CI),
    (".woodpecker.yml", CI),
    (".woodpecker.yaml", CI),
    (".zuul.d", CI),
    (".zuul.yaml", CI),
    ("amplify.yml", CI),
    ("Jenkinsfile", CI),
    ("appveyor.yml", CI),
    ("bitrise.yml", CI),
    ("buildspec.yaml", CI),
    ("buildspec.yml", CI),
    ("cloudbuild.yaml", CI),
    ("cloudbuild.json", CI),
    ("cloudbuild.yml", CI),
    ("codemagic.yaml", CI),
    ("netlify.toml", CI),
];

/// `(directory, start of the name)` held at any depth, with all below them.
const PAIRS: &[(&str, &str, Reason)] = &[
    (".github", "workflows", CI),
    (".github", "actions", CI),
    (".github", "hooks", AGENT),
    (".github", "agents", AGENT),
    (".github", "extensions", AGENT),
    (".github", "lsp", AGENT),
    (".clinerules", "hooks", AGENT),
    (".gitea", "workflows", CI),
    (".forgejo", "workflows", CI),
    (".gitlab", "ci", CI),
    (".config", "mise", SHELL),
    ("mise", "conf.d", SHELL),
    ("mise", "config.toml", SHELL),
    ("mise", "config.local.toml", SHELL),
    (".config", "lefthook", COMMIT),
    (".config", "husky", COMMIT),
];

/// `(start, end)` of names held at any depth, with all below them.
const SHAPES: &[(&str, &str, Reason)] = &[
    ("", ".code-workspace", IDE),
    ("", ".ipr", IDE),
    ("", ".iws", IDE),
    ("", ".sublime-project", IDE),
    ("", ".jenkinsfile", CI),
    ("azure-pipelines", "", CI),
    ("bitbucket-pipelines", "", CI),
    ("jenkinsfile", "", CI),
    (".gitlab-ci.", "", CI),
    (".mise.", ".toml", SHELL),
    ("mise.", ".toml", SHELL),
];

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
    ".mypy.ini",
    ".rubocop.yml",
    ".solargraph.yml",
    "ansible.cfg",
    "brakefile",
    "build",
    "build.bazel",
    "build.ninja",
    "build.rs",
    "build.sbt",
    "build.xml",
    "build.zig",
    "cargo.toml",
    "cmakelists.txt",
    "composer.json",
    "configure",
    "configure.ac",
    "conftest.py",
    "containerfile",
    "default.nix",
    "deno.json",
    "devenv.nix",
    "devbox.json",
    "directory.build.rsp",
    "earthfile",
    "fastfile",
    "flake.nix",
    "gemfile",
    "global.json",
    "gnumakefile",
    "gradle-wrapper.properties",
    "gradle.properties",
    "gradlew",
    "gruntfile.js",
    "gulpfile.js",
    "justfile",
    "makefile",
    "meson.build",
    "mix.exs",
    "module.bazel",
    "mvnw",
    "mypy.ini",
    "noxfile.py",
    "nuget.config",
    "package.json",
    "package.swift",
    "podfile",
    "pom.xml",
    "procfile",
    "pyproject.toml",
    "pyvenv.cfg",
    "rakefile",
    "rebar.config",
    "rust-toolchain",
    "rust-toolchain.toml",
    "sconscript",
    "sconstruct",
    "setup.cfg",
    "setup.py",
    "shell.nix",
    "sitecustomize.py",
    "taskfile.yml",
    "tox.ini",
    "usercustomize.py",
    "vagrantfile",
    "workspace",
    "wscript",
];
