//! Do values go in sealed and never come out? `bartizan secret`, through the binary.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const VALUE: &str = "v4lue-that-nobody-may-see";

/// A person's machine: a home and a project.
struct World {
    root: TempDir,
}

#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["home/.config/bartizan", "project"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    fn configure(&self, text: &str) {
        fs::write(self.path("home/.config/bartizan/bartizan.toml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the binary under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.args(args).env_clear().env("HOME", self.path("home")).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.path("project")).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str], input: &str) -> Done {
        let mut child = self.command(args).spawn().unwrap();
        // One that refuses at once does not read what it would have been given.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// How many files there are, none of which holds `text`.
    fn files_without(&self, text: &str) -> usize {
        let mut folders = vec![self.path("")];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                files += 1;
                let bytes = fs::read(&path).unwrap();
                let holds = bytes.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!holds, "{}", path.display());
            }
        }
        files
    }

    fn set(&self, name: &str, value: &str) -> Done {
        self.run(&["secret", "set", name], value)
    }
}

#[test]
fn a_secret_is_sealed_listed_tried_and_removed_and_never_shown() {
    let world = World::new();
    let set = world.set("github", &format!("{VALUE}\n"));
    assert_eq!(set.code, 0, "{set:?}");
    assert!(set.err.contains("[secrets.github] from = \"file://github\""), "{set:?}");
    world.configure("[secrets.git]\nfrom = \"file://github\"\nkind = \"github-token\"\n");
    assert!(!world.set("github", VALUE).err.contains("hint"), "it is used now");
    let listed = world.run(&["secret", "list"], "");
    assert!(listed.out.starts_with("git ") && listed.out.contains("file://github"), "{listed:?}");
    let json: Value =
        serde_json::from_str(&world.run(&["secret", "list", "--json"], "").out).unwrap();
    assert_eq!(json["secrets"][0]["from"], "file://github");
    let tried = world.run(&["secret", "test", "git"], "");
    assert_eq!((tried.code, tried.out.as_str()), (0, "ok git\n"), "{tried:?}");
    let removed = world.run(&["secret", "rm", "github"], "");
    assert_eq!(removed.code, 0, "{removed:?}");
    let gone = world.run(&["secret", "test"], "");
    assert!(gone.code == 1 && gone.out.contains("bartizan secret set NAME"), "{gone:?}");
    for done in [set, listed, tried, removed, gone] {
        assert!(!format!("{done:?}").contains(VALUE), "{done:?}");
    }
}

#[test]
fn no_file_that_is_left_behind_holds_the_value() {
    let world = World::new();
    assert_eq!(world.set("x", VALUE).code, 0);
    assert_eq!(world.set("x", VALUE).code, 0);
    let files = world.files_without(VALUE);
    assert_eq!(files, 2, "the key and the sealed value");
}

#[test]
fn while_it_is_handled_the_process_can_be_neither_dumped_nor_read() {
    let world = World::new();
    let mut child = world.command(&["secret", "set", "x"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(VALUE.as_bytes()).unwrap();
    // It reads until the end of its input, which does not come yet.
    let proc = PathBuf::from(format!("/proc/{}", child.id()));
    let waits = || fs::read_to_string(proc.join("wchan")).is_ok_and(|place| place.contains("pipe"));
    for _ in 0..200 {
        if waits() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for file in ["cmdline", "environ"] {
        // What is unreadable, as `environ` is to an ordinary user now, leaks nothing.
        let bytes = fs::read(proc.join(file)).unwrap_or_default();
        assert!(!bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()), "{file}");
    }
    if !rustix::process::geteuid().is_root() {
        assert!(fs::File::open(proc.join("mem")).is_err(), "another process reads its memory");
    }
    drop(stdin);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
}

#[test]
fn what_goes_wrong_is_told_with_its_remedy() {
    let world = World::new();
    for (name, value, expected) in [
        ("a/b", VALUE, "choose a name"),
        ("../x", VALUE, "choose a name"),
        ("x", "", "the value is empty"),
        ("x", "\n", "the value is empty"),
    ] {
        let done = world.set(name, value);
        assert!(done.code != 0 && done.err.contains(expected), "{name}: {done:?}");
    }
    assert_eq!(world.set("x", VALUE).code, 0);
    let unknown = world.run(&["secret", "rm", "xx"], "");
    assert!(unknown.code == 1 && unknown.err.contains("did you mean `x`?"), "{unknown:?}");
    let key = world.path("home/.config/bartizan/secrets/identity");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = world.set("x", VALUE);
    assert!(open.code == 78 && open.err.contains("chmod 600"), "{open:?}");
    let long = world.set("x", &"x".repeat(70_000));
    assert_ne!(long.code, 0);
}

#[test]
fn each_reference_of_the_configuration_is_checked_where_it_stands() {
    let world = World::new();
    let pasted = ["ghp", "_0123456789"].concat();
    world.configure(&format!(
        "[secrets.a]\nfrom = \"{pasted}\"\n[secrets.b]\nfrom = \"exec://a  b\"\n\
         [secrets.c]\nfrom = \"env://X\"\nkind = \"githubtoken\"\nplaceholder = [\"LD_PRELOAD\"]\n\
         lifetime = \"9d\"\ntimeout = \"1h\"\nenv = [\"X\"]\n"
    ));
    let done = world.run(&["policy", "check"], "");
    assert_eq!(done.code, 78, "{done:?}");
    for expected in [
        "it has no `://`",
        "single spaces",
        "did you mean `github-token`?",
        "`LD_PRELOAD` is no variable",
        "`9d` is too long",
        "`1h` is too long",
        "only a secret from `exec://` has an `env`",
        "bartizan.toml:2",
    ] {
        assert!(done.err.contains(expected), "{expected}: {}", done.err);
    }
    assert!(!done.err.contains(&pasted), "{}", done.err);
}

#[test]
fn without_a_session_bus_the_keyring_is_a_refusal_with_its_reason() {
    let world = World::new();
    world.configure("[secrets.git]\nfrom = \"keyring://example/anna\"\n");
    let place = "keyring://example/anna";
    let tried = world.run(&["secret", "test"], "");
    assert!(tried.code == 1 && tried.out.contains("secret-store-down"), "{tried:?}");
    for done in [world.set(place, VALUE), world.run(&["secret", "rm", place], "")] {
        assert!(done.code != 0 && done.err.contains("there is no session bus"), "{done:?}");
        assert!(!done.err.contains(VALUE), "{done:?}");
    }
    let elsewhere = world.set("env://X", VALUE);
    assert!(elsewhere.code == 1 && elsewhere.err.contains("keyring://SERVICE"), "{elsewhere:?}");
    assert!(world.files_without(VALUE) > 0);
}

/// A Vault server with one dynamic login, that answers `requests` times and then gives back what it was asked.
fn vault_server(requests: usize) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            let text = String::from_utf8_lossy(bytes.get(..count).unwrap()).into_owned();
            let body = format!(
                "{{\"lease_id\":\"database/creds/app/1\",\"lease_duration\":3600,\"renewable\":true,\
                 \"data\":{{\"username\":\"u\",\"password\":\"{VALUE}\"}}}}"
            );
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            asked.push(text);
        }
        asked
    });
    (port, served)
}

#[test]
fn a_lease_is_on_the_log_before_it_is_minted_and_taken_back_after_use() {
    let world = World::new();
    let (port, served) = vault_server(2);
    world.set("vault-token", "t0ken-for-the-vault");
    world.configure(&format!(
        "[vault]\naddress = \"http://127.0.0.1:{port}\"\ntoken = \"file://vault-token\"\n\
         [secrets.database]\nfrom = \"vault://database/creds/app#password\"\n"
    ));
    let tried = world.run(&["secret", "test"], "");
    assert_eq!((tried.code, tried.out.as_str()), (0, "ok database\n"), "{tried:?}");
    let asked = served.join().unwrap();
    let first = |at: usize| asked[at].lines().next().unwrap().to_owned();
    assert_eq!(first(0), "GET /v1/database/creds/app HTTP/1.1");
    assert_eq!(first(1), "PUT /v1/sys/leases/revoke HTTP/1.1");
    let log = world.run(&["audit", "list", "--event", "secret_use", "--json"], "");
    let acts: Vec<String> = log
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["act"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(acts, ["mint", "hold", "end"], "{log:?}");
    for leaked in [VALUE, "t0ken-for-the-vault"] {
        assert!(!format!("{tried:?}{log:?}").contains(leaked));
        assert!(world.files_without(leaked) > 2);
    }
}

#[test]
fn mistakes_about_the_server_are_told_where_they_stand() {
    for (text, expected) in [
        ("address = \"http://vault.example\"\ntoken = \"env://T\"", "use https"),
        ("address = \"https://vault.example\"", "either a `token` or an `approle`"),
        ("address = \"https://vault.example\"\ntoken = \"vault://a#b\"", "cannot be in Vault"),
        (
            "address = \"https://v.example\"\nnamespace = \"a b\"\ntoken = \"env://T\"",
            "`a b` has more",
        ),
    ] {
        let world = World::new();
        world.configure(&format!("[vault]\n{text}\n"));
        let done = world.run(&["policy", "check"], "");
        assert!(done.code == 78 && done.err.contains(expected), "{expected}: {done:?}");
    }
}

#[test]
fn a_project_can_name_no_secret() {
    let world = World::new();
    fs::create_dir_all(world.path("project/.bartizan")).unwrap();
    let text = "[secrets.x]\nfrom = \"exec:///bin/sh -c id\"\n";
    fs::write(world.path("project/.bartizan/bartizan.toml"), text).unwrap();
    let done = world.run(&["trust", "--yes"], "");
    assert!(done.code != 0 && done.err.contains("a project can only narrow"), "{done:?}");
}
