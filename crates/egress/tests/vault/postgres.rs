//! Does a session get a database role of its own, and `psql` in without a password? Against a real `PostgreSQL`;
//! skipped, and said so, where there is none.

use bartizan_egress::postgres::{Account, RoleMint, relay};
use bartizan_egress::vault::{Declared, FaultKind, Forgetful, Lease, LeaseBook};
use bartizan_egress::{Resolver, SecretError, SecretRef, SecretValue, Vault};
use bartizan_gate::name::{HostPort, SecretName};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

const ADMIN: &str = "4dmin-p4ssword";

/// A throw-away cluster that takes SCRAM alone.
struct Cluster {
    dir: TempDir,
    port: u16,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the database and its client are what we are tried on"
)]
fn command(program: &str) -> Command {
    Command::new(program)
}

fn finish(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// `PostgreSQL` does not run as root.
fn as_somebody(dir: &Path, program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return command(program);
    }
    drop(finish(command("chown").args(["-R", "nobody"]).arg(dir)));
    let mut lowered = command("setpriv");
    lowered.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", program]);
    lowered
}

impl Cluster {
    fn start() -> Option<Self> {
        let there = |program: &str| command(program).arg("--version").output().is_ok();
        if !["initdb", "pg_ctl", "psql"].into_iter().all(there) {
            crate::skipped("no PostgreSQL (initdb, pg_ctl, psql)");
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
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // A port that was free a moment ago; another test may take it, so there are several tries.
        for _ in 0..5 {
            let port =
                std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let options = format!(
                "-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -c log_statement=all -k {}",
                dir.path().display()
            );
            let mut start = as_somebody(dir.path(), "pg_ctl");
            start
                .arg("-D")
                .arg(&data)
                .arg("-l")
                .arg(dir.path().join("log"))
                .args(["-w", "-t", "120", "-o", &options, "start"]);
            if start
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
            {
                return Some(Self { dir, port });
            }
        }
        panic!("PostgreSQL does not start");
    }

    fn target(&self) -> HostPort {
        HostPort::parse(&format!("127.0.0.1:{}", self.port)).unwrap()
    }

    /// What the administrator sees.
    fn sql(&self, statement: &str) -> String {
        let mut psql = command("psql");
        psql.env("PGPASSWORD", ADMIN).args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
            &self.port.to_string(),
        ]);
        let output =
            finish(psql.args(["-At", "-v", "ON_ERROR_STOP=1", "-c", statement, "postgres"]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn mint(&self, lives: Duration) -> RoleMint {
        let admin = Account {
            target: self.target(),
            database: "postgres".to_owned(),
            user: "postgres".to_owned(),
        };
        let password = SecretRef::parse("env://ADMIN").unwrap();
        RoleMint { admin, password, member_of: vec!["readers".to_owned()], lives }
    }

    fn vault(&self, book: &Arc<Forgetful>, lives: Duration, admin: &str) -> Vault {
        let variables = HashMap::from([("ADMIN".to_owned(), admin.into())]);
        let book = Arc::clone(book) as Arc<dyn LeaseBook>;
        let builder = Vault::builder().environment(variables).leases(book);
        builder.declare(name(), Declared::role(self.mint(lives))).build()
    }

    fn minted(&self) -> String {
        self.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'bartizan%'")
    }
}

impl Cluster {
    fn stop(&self) {
        let data = self.dir.path().join("data");
        drop(finish(as_somebody(self.dir.path(), "pg_ctl").arg("-D").arg(data).args([
            "-m",
            "immediate",
            "stop",
        ])));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn name() -> SecretName {
    SecretName::parse("db").unwrap()
}

/// `psql` as a program in a box has it: no password anywhere, and whatever user it likes.
async fn psql(port: u16, user: &str, statement: &str) -> Output {
    let mut psql = command("psql");
    psql.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("PGCONNECT_TIMEOUT", "60");
    psql.args([
        "-w",
        "-At",
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-U",
        user,
        "-c",
        statement,
        "whatever",
    ]);
    psql.stdin(Stdio::null());
    tokio::task::spawn_blocking(move || psql.output().unwrap()).await.unwrap()
}

/// A door like the box's, which serves every connection with the session's login.
async fn door(account: Account, password: Arc<SecretValue>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (account, password) = (account.clone(), Arc::clone(&password));
            tokio::spawn(async move {
                drop(relay(client, &Resolver::system(), &account, &password).await);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_a_role_of_its_own_that_is_gone_afterwards() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.sql("CREATE ROLE readers; CREATE TABLE t (x int); INSERT INTO t VALUES (7); GRANT SELECT ON t TO readers; GRANT CREATE ON SCHEMA public TO readers");
    let book = Arc::new(Forgetful::default());
    let vault = cluster.vault(&book, Duration::from_hours(1), ADMIN);
    let (account, password) = vault.account(&name()).await.unwrap();
    assert!(account.user.starts_with("bartizan_"), "{account:?}");
    let (again, _) = vault.account(&name()).await.unwrap();
    assert_eq!((again, cluster.minted().as_str()), (account.clone(), "1"));
    assert_eq!(cluster.sql("SELECT rolvaliduntil > now() AND rolvaliduntil < now() + interval '2 hours' FROM pg_roles WHERE rolname LIKE 'bartizan%'"), "t");
    let port = door(account.clone(), Arc::clone(&password)).await;
    // It is let in, as that role, whoever it says it is, and may do what that role may.
    let read = psql(port, "postgres", "SELECT current_user || x FROM t").await;
    assert_eq!(
        String::from_utf8_lossy(&read.stdout).trim(),
        format!("{}7", account.user),
        "{read:?}"
    );
    let write = psql(port, "postgres", "DELETE FROM t").await;
    assert!(String::from_utf8_lossy(&write.stderr).contains("permission denied"), "{write:?}");
    let super_ = psql(port, "postgres", "CREATE ROLE mallory SUPERUSER").await;
    assert!(!super_.status.success());
    assert!(psql(port, "x", "CREATE TABLE made (x int)").await.status.success());
    assert!(vault.close().await.is_empty());
    assert_eq!(cluster.minted(), "0");
    assert_eq!(book.leases(), []);
    assert_eq!(
        cluster.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'made'"),
        "postgres"
    );
    let late = psql(port, "postgres", "SELECT 1").await;
    assert!(
        !late.status.success()
            && String::from_utf8_lossy(&late.stderr).contains("secret-unavailable"),
        "{late:?}"
    );
    // The server's own log, which has every statement, has the password in no form.
    let log = std::fs::read_to_string(cluster.dir.path().join("log")).unwrap();
    assert!(log.contains("CREATE ROLE") && !password.occurs_in(log.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_a_killed_run_left_is_dropped_by_the_next_with_its_sessions() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.sql("CREATE ROLE readers");
    let book = Arc::new(Forgetful::default());
    let killed = cluster.vault(&book, Duration::from_hours(1), ADMIN);
    let (account, password) = killed.account(&name()).await.unwrap();
    let port = door(account, password).await;
    let sleeping = tokio::spawn(psql(port, "x", "SELECT pg_sleep(600)"));
    while cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'bartizan%'") != "1"
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(killed);
    let next = cluster.vault(&book, Duration::from_hours(1), ADMIN);
    assert_eq!(next.recover().await, (1, Vec::new()));
    assert_eq!((cluster.minted().as_str(), book.leases().len()), ("0", 0));
    assert!(!sleeping.await.unwrap().status.success(), "its session was ended");
    // One that was written down and never made is struck out.
    let lease = Lease {
        id: "a".into(),
        back_end: "postgres".into(),
        subject: "db".into(),
        handle: Some("bartizan_a".into()),
    };
    book.write(&lease).unwrap();
    assert_eq!(next.recover().await, (1, Vec::new()));
    // A name that is not ours is never dropped, whatever the book says.
    book.write(&Lease { handle: Some("readers".into()), ..lease }).unwrap();
    assert_eq!(next.recover().await.1.len(), 1);
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'readers'"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_an_absent_server_is_a_refusal_with_its_reason() {
    let Some(cluster) = Cluster::start() else { return };
    let fault = async |vault: Vault| match vault.account(&name()).await {
        Err(SecretError::BackEnd { fault, .. }) => fault,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a login"),
    };
    let book = Arc::new(Forgetful::default());
    let wrong = fault(cluster.vault(&book, Duration::from_hours(1), "wrong-password")).await;
    assert_eq!(wrong.kind(), FaultKind::Denied);
    assert!(
        wrong.to_string().contains("28P01") && !wrong.to_string().contains("wrong-password"),
        "{wrong}"
    );
    // `readers` is not there, so the role cannot be made.
    let denied = fault(cluster.vault(&book, Duration::from_hours(1), ADMIN)).await;
    assert!(denied.to_string().contains("42704"), "{denied}");
    assert_eq!(book.leases(), [], "what was refused is not there to be taken back");
    let mut mint = cluster.mint(Duration::from_hours(1));
    mint.admin.target = HostPort::parse("127.0.0.1:1").unwrap();
    let variables = HashMap::from([("ADMIN".to_owned(), ADMIN.into())]);
    let absent =
        Vault::builder().environment(variables).leases(book).declare(name(), Declared::role(mint));
    assert_eq!(fault(absent.build()).await.kind(), FaultKind::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_database_is_reached_nothing_is_left_to_be_taken_back_however_often_it_is_asked() {
    let target = HostPort::parse("127.0.0.1:1").unwrap();
    let admin = Account { target, database: "postgres".to_owned(), user: "postgres".to_owned() };
    let password = SecretRef::parse("env://ADMIN").unwrap();
    let lives = Duration::from_hours(1);
    let mint = RoleMint { admin, password, member_of: vec!["readers".to_owned()], lives };
    let variables = HashMap::from([("ADMIN".to_owned(), ADMIN.into())]);
    let book = Arc::new(Forgetful::default());
    let leases = Arc::clone(&book) as Arc<dyn LeaseBook>;
    let vault = Vault::builder().environment(variables).leases(leases);
    let vault = vault.declare(name(), Declared::role(mint)).build();
    for _ in 0..3 {
        assert!(vault.account(&name()).await.is_err());
    }
    assert_eq!(book.leases(), []);
    assert_eq!(vault.close().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_dropped_is_one_however_often_another_is_asked_for() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.sql("CREATE ROLE readers");
    let book = Arc::new(Forgetful::default());
    // It is good for nine tenths of a second.
    let vault = cluster.vault(&book, Duration::from_secs(1), ADMIN);
    vault.account(&name()).await.unwrap();
    let first = book.leases();
    cluster.stop();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        assert!(vault.account(&name()).await.is_err());
    }
    assert_eq!((first.len(), book.leases()), (1, first.clone()));
    let faults = vault.close().await;
    assert!(matches!(&faults[..], [fault] if fault.kind() == FaultKind::Down), "{faults:?}");
    assert_eq!(book.leases(), first, "the next run knows of it");
}
