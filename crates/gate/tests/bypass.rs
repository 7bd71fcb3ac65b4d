//! Do the bypasses of the gate compile? None may.
//!
//! The compiler is called on each case with the crates that cargo has built for this very test, so
//! nothing is built twice.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot look fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

#[test]
fn no_way_round_the_gate_compiles() {
    let (cases, built) = (cases("tests/bypass"), Built::find());
    assert!(cases.len() >= 16, "only {} cases were found", cases.len());
    for case in cases {
        let source = fs::read_to_string(&case).unwrap();
        let expected: Vec<&str> =
            source.lines().filter_map(|line| line.strip_prefix("//~ ")).collect();
        assert!(!expected.is_empty(), "{} does not say what the compiler answers", case.display());
        let output = built.compile(&case);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{} compiles: a way round the gate", case.display());
        let errors: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("error") && !line.contains("aborting due to"))
            .collect();
        assert_eq!(errors.len(), expected.len(), "{}:\n{said}", case.display());
        for (error, expected) in errors.iter().zip(&expected) {
            assert!(
                error.ends_with(expected),
                "{}: expected `{expected}`:\n{said}",
                case.display()
            );
        }
    }
}

#[test]
fn the_one_path_compiles() {
    let built = Built::find();
    for case in cases("tests/bypass/allowed") {
        let output = built.compile(&case);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    cases.sort();
    cases
}

/// Libraries of the gate and of the store that cargo built for each other.
struct Built {
    deps: PathBuf,
    gate: PathBuf,
    store: PathBuf,
}

impl Built {
    /// The newest pair that fits; a target directory may hold several builds of either.
    fn find() -> Self {
        let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
        let probe = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/bypass/allowed/the_receipt_is_the_stores.rs");
        for gate in libraries(&deps, "bartizan_gate") {
            for store in libraries(&deps, "bartizan_store") {
                let built = Self { deps: deps.clone(), gate: gate.clone(), store };
                if built.compile(&probe).status.success() {
                    return built;
                }
            }
        }
        panic!("no libraries that belong together in {}", deps.display());
    }

    fn compile(&self, case: &Path) -> Output {
        let out = tempfile::tempdir().unwrap();
        let mut rustc = rustc();
        rustc.args([
            "--edition",
            "2024",
            "--crate-type",
            "bin",
            "--emit",
            "metadata",
            "--cap-lints",
            "allow",
        ]);
        rustc.arg("--out-dir").arg(out.path());
        rustc.arg("-L").arg(format!("dependency={}", self.deps.display()));
        rustc.arg("--extern").arg(format!("bartizan_gate={}", self.gate.display()));
        rustc.arg("--extern").arg(format!("bartizan_store={}", self.store.display()));
        rustc.arg(case).output().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the compiler, on cases of our own")]
fn rustc() -> Command {
    let beside = option_env!("CARGO").map(|cargo| Path::new(cargo).with_file_name("rustc"));
    Command::new(beside.filter(|rustc| rustc.exists()).unwrap_or_else(|| "rustc".into()))
}

/// Every build of a crate, the newest first.
fn libraries(deps: &Path, name: &str) -> Vec<PathBuf> {
    let prefix = format!("lib{name}-");
    let built = |path: &PathBuf| {
        fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let files = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let mut ours: Vec<PathBuf> = files
        .filter(|path| {
            let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            file.starts_with(&prefix) && path.extension().is_some_and(|e| e == "rlib")
        })
        .collect();
    ours.sort_by_key(|path| std::cmp::Reverse(built(path)));
    ours
}
