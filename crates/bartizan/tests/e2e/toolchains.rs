//! Do the toolchains that people build with work in the box as they come?
//!
//! What is not installed is skipped aloud; with `BARTIZAN_REQUIRE_TOOLCHAINS=1` it is a failure.

use crate::support::project::{Project, Ran};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Whether the program is there to be tried.
fn has(program: &str) -> bool {
    let found = PATH.split(':').any(|dir| Path::new(dir).join(program).exists());
    found || skip(program)
}

fn skip(what: &str) -> bool {
    assert!(std::env::var_os("BARTIZAN_REQUIRE_TOOLCHAINS").is_none(), "there is no {what}");
    let said = writeln!(std::io::stderr(), "SKIPPED: there is no {what} on this machine");
    said.unwrap();
    false
}

fn bash(project: &Project, script: &str) -> Ran {
    project.bartizan(&["run", "--", "bash", "-ec", script]).finish()
}

fn succeeds(ran: &Ran, said: &str) {
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(ran.stdout.contains(said), "`{said}` in {ran:?}");
}

/// The Rust toolchain that built this test, when whoever runs it may use it.
fn rust() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO")).parent()?.parent()?.to_path_buf();
    let usable = fs::read_dir(root.join("lib")).is_ok() && root.join("bin/rustc").exists();
    if !usable {
        skip("Rust toolchain for this user");
    }
    usable.then_some(root)
}

#[test]
fn a_crate_builds_and_is_built_again_on_what_landed() {
    let Some(rust) = rust() else { return };
    let project = Project::new();
    project.configure(&format!("[roles.default.box]\nreadable = [{:?}]\n", rust.display()));
    project.write(
        "Cargo.toml",
        "[package]\nname = \"c\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    project.write("src/main.rs", "fn main() { println!(\"{}\", 6 * 7); }\n");
    let cargo = |script: &str| {
        let path = format!("{}/bin:{PATH}", rust.display());
        project.bartizan(&["run", "--", "bash", "-ec", script]).env("PATH", &path).finish()
    };
    succeeds(&cargo("cargo build --offline && target/debug/c"), "42");
    assert!(project.workspace().join("target/debug/c").exists(), "the build landed");
    // Cargo gives its programs two names; a second build replaces both.
    let again =
        cargo("sed -i 's/6 \\* 7/6 * 8/' src/main.rs; cargo test --offline; cargo run --offline");
    succeeds(&again, "48");
    assert!(!again.stderr.contains("in conflict"), "{}", again.stderr);
}

#[test]
fn git_works_without_the_persons_own_configuration() {
    if !has("git") {
        return;
    }
    let project = Project::new();
    let script = "git init -q -b main .; git add .; git -c user.name=a -c user.email=a@example.org commit -qm one; git status --short; git log --format=%s; git gc -q; git fsck";
    succeeds(&bash(&project, script), "one\n");
    assert!(project.workspace().join(".git/HEAD").exists());
}

#[test]
fn npm_installs_from_its_lock_file() {
    if !has("node") || !has("npm") {
        return;
    }
    let project = Project::new();
    project.write("dep/package.json", r#"{"name":"dep","version":"1.0.0","main":"i.js"}"#);
    project.write("dep/i.js", "module.exports = 42;\n");
    project.write(
        "package.json",
        r#"{"name":"n","version":"1.0.0","dependencies":{"dep":"file:dep"}}"#,
    );
    let script = "npm install --offline --no-audit --no-fund; npm ci --offline --no-audit --no-fund; node -e 'console.log(require(\"dep\"))'";
    succeeds(&bash(&project, script), "42");
    assert!(project.file("package-lock.json").is_some());
}

#[test]
fn python_makes_an_environment_and_runs_its_tests() {
    if !has("python3") {
        return;
    }
    let project = Project::new();
    project.write("test_sum.py", "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(6 * 7, 42)\n");
    let script = "python3 -m venv --without-pip --copies v; v/bin/python -m unittest -q 2>&1; v/bin/python -c 'import sys; print(sys.prefix)'";
    succeeds(&bash(&project, script), "/shop/v\n");
    // What landed is whole: it runs in the next box as well.
    succeeds(
        &bash(
            &project,
            "v/bin/python -c 'import ssl, sqlite3, ctypes, multiprocessing; print(6 * 7)'",
        ),
        "42",
    );
}

#[test]
fn python_processes_share_memory_and_locks() {
    if !has("python3") {
        return;
    }
    let project = Project::new();
    project.write("p.py", "import multiprocessing as m\ndef f(n): return n * 7\nif __name__ == '__main__':\n    with m.Pool(3) as pool: print(sum(pool.map(f, [1, 2, 3])))\n");
    succeeds(&bash(&project, "python3 p.py"), "42");
}

#[test]
fn go_builds() {
    if !has("go") {
        return;
    }
    let project = Project::new();
    project.write("go.mod", "module example.org/x\n\ngo 1.19\n");
    project.write("main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(42) }\n");
    succeeds(&bash(&project, "go vet ./... && go build -o x . && ./x"), "42");
}

#[test]
fn a_headless_browser_renders_a_page_of_the_box() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| PATH.split(':').any(|dir| Path::new(dir).join(name).exists()))
    else {
        skip("Chromium");
        return;
    };
    let project = Project::new();
    project.write(
        "page.html",
        "<p id=a></p><script>document.getElementById('a').textContent = 6 * 7</script>\n",
    );
    let script = format!(
        "python3 -m http.server -b 127.0.0.1 8123 >/dev/null 2>&1 & \
         timeout 120 {browser} --headless --no-sandbox --disable-gpu --dump-dom \"file://$PWD/page.html\" 2>/dev/null; \
         timeout 120 {browser} --headless --no-sandbox --disable-gpu --dump-dom http://127.0.0.1:8123/page.html 2>/dev/null"
    );
    let ran = bash(&project, &script);
    succeeds(&ran, "<p id=\"a\">42</p>");
    assert_eq!(
        ran.stdout.matches("<p id=\"a\">42</p>").count(),
        2,
        "from a file and from a server: {ran:?}"
    );
}

#[test]
fn a_database_runs_in_the_box_and_is_reached_by_nobody_else() {
    if !has("initdb") || !has("pg_ctl") || !has("psql") {
        return;
    }
    let project = Project::new();
    let script = "initdb -D /tmp/pg -A trust >/dev/null; \
        pg_ctl -D /tmp/pg -l /tmp/log -o '-k /tmp -h 127.0.0.1 -p 54329' -w start >/dev/null; \
        psql -h 127.0.0.1 -p 54329 -d postgres -Atc 'create table t (n int); insert into t values (42); select n from t' 2>&1; \
        pg_ctl -D /tmp/pg -m fast -w stop >/dev/null";
    succeeds(&bash(&project, script), "42");
}

#[test]
fn shared_caches_can_be_read_and_never_written() {
    let project = Project::new();
    for cache in [".cargo/registry", ".rustup", "go/pkg/mod", ".npm/_cacache"] {
        let dir = project.home().join(cache);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("cached"), format!("of {cache}\n")).unwrap();
    }
    let script = "cd; for c in .cargo/registry .rustup go/pkg/mod; do cat $c/cached; \
        (echo EVIL > $c/cached; echo EVIL > $c/new; rm -f $c/cached; mv $c $c.away; chmod -R 777 $c) 2>/dev/null; done; \
        mkdir -p .npm/_cacache && echo EVIL > .npm/_cacache/cached; echo own > .cargo/own; cat .cargo/own";
    let ran = bash(&project, &format!("set +e; {script}"));
    for cache in [".cargo/registry", ".rustup", "go/pkg/mod"] {
        assert!(ran.stdout.contains(&format!("of {cache}\n")), "{ran:?}");
    }
    for cache in [".cargo/registry", ".rustup", "go/pkg/mod", ".npm/_cacache"] {
        let dir = project.home().join(cache);
        assert_eq!(fs::read_to_string(dir.join("cached")).unwrap(), format!("of {cache}\n"));
        assert!(!dir.join("new").exists());
    }
    // Around them each box has a home of its own, which the next one does not see.
    assert!(ran.stdout.ends_with("own\n"), "{ran:?}");
    let next = bash(&project, "cat ~/.cargo/own ~/.npm/_cacache/cached 2>&1; true");
    assert!(!next.stdout.contains("EVIL") && next.stdout.contains("No such file"), "{next:?}");
}
