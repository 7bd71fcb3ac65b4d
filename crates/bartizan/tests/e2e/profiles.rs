//! Does a role get the box that its configuration describes, and no wider one?

use crate::support::project::{Project, Ran};
use crate::support::sink::Sink;
use std::fs;

const DOCS: &str = r#"
[roles.writer]
extends = ["default"]
[roles.writer.box]
folder = "docs"
rest = "read-only"

[roles.alone]
extends = ["default"]
[roles.alone.box]
folder = "docs"

[roles.tester]
extends = ["default"]
[roles.tester.box]
network = "none"

[roles.small]
extends = ["default"]
[roles.small.box]
memory = "256MiB"
pids = 48
file_size = "1MiB"
open_files = 64
overlay_size = "8MiB"
output = "64KiB"

[roles.reader]
extends = ["default"]
[roles.reader.box]
workspace = "read-only"
"#;

fn project() -> Project {
    let project = Project::new();
    project.configure(DOCS);
    project.write("docs/page.md", "page\n");
    project.write("src/code.rs", "code\n");
    project
}

fn bash(project: &Project, role: &str, script: &str) -> Ran {
    project.bartizan(&["run", "--agent", role, "--", "bash", "-c", script]).finish()
}

#[test]
fn a_documentation_role_cannot_shell_out_to_write_outside_its_folder() {
    let project = project();
    let attacks = "cd ..; for f in src/code.rs notes.txt new.txt .git/config docs/../x src/new; do echo EVIL > $f && echo WROTE $f; done; \
                   ln -s ../src/code.rs docs/l && echo EVIL >> docs/l && echo WROTE through a link; \
                   mv docs elsewhere && echo WROTE moved; rm -rf src && echo WROTE removed; \
                   python3 -c \"open('src/py','w')\" && echo WROTE py; mount -o remount,rw . && echo WROTE mount; exit 0";
    let ran = bash(&project, "writer", attacks);
    assert!(!ran.stdout.contains("WROTE"), "{ran:?}");
    assert_eq!(project.file("src/code.rs").as_deref(), Some("code\n"));
    assert!(!project.workspace().join("src/new").exists());
    // Its own work flows, and it sees what it writes about.
    let ran = bash(
        &project,
        "writer",
        "grep -q code ../src/code.rs && echo more >> page.md && echo new > new.md && pwd",
    );
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(ran.stdout.trim_end().ends_with("/shop/docs"), "{ran:?}");
    assert_eq!(project.file("docs/page.md").as_deref(), Some("page\nmore\n"));
    assert_eq!(project.file("docs/new.md").as_deref(), Some("new\n"));
}

#[test]
fn a_role_with_a_folder_alone_does_not_see_the_rest() {
    let project = project();
    let ran =
        bash(&project, "alone", "cat ../src/code.rs ../notes.txt; ls -A ..; echo ok > page.md");
    assert!(!ran.stdout.contains("code") && !ran.stdout.contains("notes"), "{ran:?}");
    assert_eq!(project.file("docs/page.md").as_deref(), Some("ok\n"), "{ran:?}");
    fs::remove_dir_all(project.workspace().join("docs")).unwrap();
    let missing = bash(&project, "alone", "true");
    assert_eq!(missing.status.code(), Some(125), "{missing:?}");
    assert!(missing.stderr.contains("there is no folder `docs`"), "{missing:?}");
    std::os::unix::fs::symlink("src", project.workspace().join("docs")).unwrap();
    let linked = bash(&project, "alone", "true");
    assert!(linked.stderr.contains("is not a plain folder"), "{linked:?}");
}

#[test]
fn a_test_runner_role_has_no_network_at_all() {
    let sink = Sink::start();
    let project = project();
    let port = sink.port();
    let attacks = format!(
        "for to in 127.0.0.1/{port} 192.0.2.7/80 169.254.169.254/80; do (exec 3<>/dev/tcp/$to && echo hello >&3 && [ -n \"$(timeout 5 head -c1 <&3)\" ] && echo OUT $to); done 2>/dev/null\n\
         for i in $(seq 100); do (exec 3<>/dev/tcp/192.0.2.7/80) 2>/dev/null || break; sleep 0.1; done; (exec 3<>/dev/tcp/192.0.2.7/80) && echo OUT connected\n\
         curl -sS -m 10 --noproxy '*' https://example.com/ && echo OUT\n\
         curl -sS -m 10 -x http://127.0.0.1:3128 http://example.com/ && echo OUT\n\
         curl -sS -m 10 --noproxy '*' http://model.bartizan/v1/models && echo OUT\n\
         getent hosts example.com && echo OUT\n\
         python3 - <<'EOF'\n\
import socket\n\
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
s.settimeout(2)\n\
try:\n    s.sendto(b'\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x01a\\x00\\x00\\x01\\x00\\x01', ('10.0.0.53', 53)); print('OUT', s.recv(99))\n\
except OSError as e: print(type(e).__name__)\n\
EOF\n\
         exit 0"
    );
    let ran = bash(&project, "tester", &attacks);
    assert!(!ran.stdout.contains("OUT"), "{ran:?}");
    let ran = bash(&project, "tester", "env | grep -ci proxy");
    assert_eq!(ran.stdout, "0\n", "a proxy that is not there: {ran:?}");
    // Its own servers work, which is what a test runner needs.
    let ran = bash(
        &project,
        "tester",
        "python3 -m http.server -b 127.0.0.1 8123 >/dev/null 2>&1 & for i in $(seq 100); do curl -s -f --noproxy '*' http://127.0.0.1:8123/notes.txt && exit 0; sleep 0.1; done; exit 1",
    );
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let explained = project
        .bartizan(&[
            "policy",
            "explain",
            "--role",
            "tester",
            "net.connect",
            r#"{"host":"example.com","port":443}"#,
        ])
        .finish();
    assert_eq!(explained.status.code(), Some(1), "{explained:?}");
    assert!(explained.stdout.contains("bartizan.toml:16"), "names the line: {explained:?}");
    let explained = project
        .bartizan(&[
            "policy",
            "explain",
            "--role",
            "writer",
            "net.connect",
            r#"{"host":"example.com","port":443}"#,
        ])
        .finish();
    assert_eq!(explained.status.code(), Some(3), "{explained:?}");
}

#[test]
fn limits_of_a_role_hold_and_end_only_its_box() {
    let project = project();
    let ran = bash(
        &project,
        "small",
        "head -c 4M /dev/zero > big; ls -s big; ulimit -n; for i in $(seq 60); do sleep 30 & done; echo started; kill $(jobs -p)",
    );
    assert!(ran.stdout.contains("64\n"), "{ran:?}");
    let size = fs::metadata(project.workspace().join("big")).map_or(0, |meta| meta.len());
    assert!(size <= 1 << 20, "{size}");
    let ran = bash(&project, "small", "exec head -c 4M /dev/zero > big");
    assert_eq!(ran.status.code(), Some(153), "{ran:?}");
    assert!(ran.stderr.contains("ended: a file beyond the limit"), "{}", ran.stderr);
    let ran = bash(&project, "small", "head -c 1M /dev/zero | tr '\\0' x; echo NEVER >&2");
    assert!(
        ran.stdout.len() <= 64 << 10 && !ran.stderr.contains("NEVER\n"),
        "{}",
        ran.stdout.len()
    );
    assert!(ran.stderr.contains("it printed more than it may"), "{}", ran.stderr);
    let ran = bash(&project, "small", "head -c 60K /dev/zero | tr '\\0' x");
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(0), 60 << 10));
}

#[test]
fn a_role_that_reads_only_changes_nothing() {
    let project = project();
    let ran =
        bash(&project, "reader", "cat notes.txt; echo x > notes.txt; echo x > new.txt; exit 0");
    assert!(ran.stdout.contains("harbour") && ran.stderr.contains("Read-only"), "{ran:?}");
    assert_eq!(project.file("new.txt"), None);
}
