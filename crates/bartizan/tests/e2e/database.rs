//! Does `psql` in a box reach a database without a password, as a role that lives no longer than the run?
//!
//! Against a real server; skipped, and said so, where there is none. It listens on loopback, which in a box is the
//! box's own; a few lines of Python there lead `psql` to the box's proxy instead.

use crate::support::log::Log;
use crate::support::project::Project;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const ADMIN: &str = "4dmin-p4ssword-of-the-database";

struct Cluster {
    dir: TempDir,
    port: u16,
}

#[expect(clippy::disallowed_methods, reason = "the database that the box connects to")]
fn command(program: &str) -> Command {
    Command::new(program)
}

fn finish(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// The server does not run as root.
fn as_somebody(dir: &Path, program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return command(program);
    }
    drop(finish(command("chown").args(["-R", "nobody"]).arg(dir)));
    let mut lowered = command("setpriv");
    lowered.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", program]);
    lowered
}

/// Listens where `psql` looks, and asks the proxy for each connection to the database.
const BRIDGE: &str = r#"
import os, socket, sys, threading
target, here = sys.argv[1], socket.create_server(("127.0.0.1", 6543))
def pump(a, b):
    while data := a.recv(65536): b.sendall(data)
    b.shutdown(socket.SHUT_WR)
def serve(client):
    out = socket.create_connection(("127.0.0.1", 3128))
    out.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head: head += out.recv(1)
    threading.Thread(target=pump, args=(client, out), daemon=True).start()
    pump(out, client)
print("ready", flush=True)
while True: threading.Thread(target=serve, args=(here.accept()[0],), daemon=True).start()
"#;

impl Cluster {
    fn start() -> Option<Self> {
        let there = |program: &str| command(program).arg("--version").output().is_ok();
        if !["initdb", "pg_ctl", "psql", "python3"].into_iter().all(there) {
            skipped();
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (data, password) = (dir.path().join("data"), dir.path().join("password"));
        std::fs::write(&password, ADMIN).unwrap();
        std::fs::create_dir(&data).unwrap();
        let mut init = as_somebody(dir.path(), "initdb");
        init.args(["-U", "postgres", "-A", "scram-sha-256", "--no-sync", "-D"]).arg(&data);
        let made = finish(init.arg("--pwfile").arg(&password));
        assert!(made.status.success(), "{made:?}");
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let options = format!(
                "-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {}",
                dir.path().display()
            );
            let mut start = as_somebody(dir.path(), "pg_ctl");
            start.arg("-D").arg(&data).arg("-l").arg(dir.path().join("log"));
            start.args(["-w", "-t", "120", "-o", &options, "start"]).stdin(Stdio::null());
            if start.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
                return Some(Self { dir, port });
            }
        }
        panic!("PostgreSQL does not start");
    }

    fn sql(&self, statement: &str) -> String {
        let mut psql = command("psql");
        psql.env("PGPASSWORD", ADMIN).args(["-h", "127.0.0.1", "-U", "postgres"]);
        psql.args(["-p", &self.port.to_string(), "-At", "-c", statement, "postgres"]);
        let output = finish(&mut psql);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn skipped() {
    eprintln!("SKIPPED: no PostgreSQL (initdb, pg_ctl, psql), or no python3");
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.dir.path().join("data");
        let mut stop = as_somebody(self.dir.path(), "pg_ctl");
        drop(finish(stop.arg("-D").arg(data).args(["-m", "immediate", "stop"])));
    }
}

#[test]
fn psql_in_the_box_needs_no_password_and_its_role_ends_with_the_run() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.sql("CREATE ROLE readers; CREATE TABLE t (x int); INSERT INTO t VALUES (7); GRANT SELECT ON t TO readers");
    let project = Project::new();
    let database = format!("127.0.0.1:{}", cluster.port);
    let secrets = project.config().join("secrets-in-a-test");
    std::fs::write(&secrets, format!("#!/bin/sh\necho {ADMIN}\n")).unwrap();
    project.configure(&format!(
        "[roles.default]\nallow = [\"net({database})\"]\n[hosts.\"{database}\"]\nprivate = true\n\
         [secrets.admin]\nfrom = \"exec:///bin/sh {}\"\n\
         [secrets.db.role]\nhost = \"{database}\"\ndatabase = \"postgres\"\nuser = \"postgres\"\n\
         password = \"exec:///bin/sh {}\"\nmember_of = [\"readers\"]\nlives = \"10m\"\n",
        secrets.display(),
        secrets.display()
    ));
    project.write("bridge.py", BRIDGE);
    let psql = "psql -w -At -h 127.0.0.1 -p 6543 -U whoever";
    let script = format!(
        "exec 3< <(python3 bridge.py {database}); read -u 3 ready; {psql} -c 'SELECT current_user || x FROM t' any; {psql} -c 'DELETE FROM t' any; env | grep -i pass"
    );
    let ran = project.bartizan(&["run", "--", "bash", "-c", &script]).finish();
    assert!(ran.stdout.contains("bartizan_") && ran.stdout.contains('7'), "{ran:?}");
    assert!(ran.stderr.contains("permission denied"), "{ran:?}");
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'bartizan%'"), "0");
    let log = Log::read(&project);
    let call = log.find("call", |record| record["tool"] == "net.connect");
    assert_eq!(call["secret"], "db", "{call}");
    log.find("secret_use", |record| record["act"] == "end");
    assert!(!format!("{ran:?}").contains(ADMIN));
    // Nowhere that a run leaves anything: the log, its write-ahead file, what write-back keeps.
    let mut folders = vec![project.state(), project.workspace()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if let Ok(bytes) = std::fs::read(entry.path()) {
                let holds = bytes.windows(ADMIN.len()).any(|part| part == ADMIN.as_bytes());
                assert!(!holds, "{}", entry.path().display());
            }
        }
    }
}
