//! Do two users of this machine answer at one desk, each as who the kernel says they are, and nobody else?

use super::{Done, World, ask, json_of, until};
use bartizan_store::{ApprovalKey, Desk as _, Event, Filter, Question, QuestionState, Store};
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Numbers that no user of a test machine has.
const ANNA: u32 = 64_711;
const BEN: u32 = 64_712;
const EVE: u32 = 64_713;

/// A desk that is shared, in a folder that everybody can look into.
struct Shared {
    world: World,
    folder: TempDir,
    keeper: Child,
}

impl Shared {
    fn open() -> Self {
        let world = World::new();
        world.configure(&format!("[approvers]\npeople = [\"local:{ANNA}\", \"local:{BEN}\"]\n"));
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        drop(world.store());
        let socket = folder.path().join("desk");
        let share = ["approvals", "share", "--socket", socket.to_str().unwrap()];
        let keeper = world.command(&share).spawn().unwrap();
        until("the socket", || UnixStream::connect(&socket).is_ok());
        Self { world, folder, keeper }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("desk")
    }

    /// What a process of this user is answered.
    fn run(&self, uid: u32, args: &[&str]) -> Done {
        #[expect(clippy::disallowed_methods, reason = "another user's process")]
        let mut command = Command::new("setpriv");
        let ids = [format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".to_owned()];
        command.args(ids).arg(env!("CARGO_BIN_EXE_bartizan")).arg("approvals").args(args);
        command.arg("--socket").arg(self.socket()).env_clear().env("PATH", "/usr/bin:/bin");
        // What somebody says of themselves counts for nothing.
        command
            .env("HOME", "/nonexistent")
            .env("USER", BEN.to_string())
            .env("SUDO_UID", BEN.to_string());
        command.current_dir("/").stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.world.finish(child)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

#[expect(clippy::print_stderr, reason = "whoever reads the tests shall know")]
fn can_be_others() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: two users at one desk, since only root can be two users");
    }
    is_root
}

/// Who approved, as the log has it.
fn approvals(store: &Store, question: &Question) -> Vec<String> {
    let filter = Filter { event: Some(Event::Approval), ..Filter::default() };
    let records = store.reader().page(&filter, 100).unwrap();
    let values = records.iter().map(bartizan_store::Record::value);
    let ours = values.filter(|value| value["question"] == json!(question.id));
    ours.map(|value| format!("{} {}", value["act"], value["approver"])).collect()
}

#[test]
fn one_person_twice_is_one_and_two_users_are_two() {
    if !can_be_others() {
        return;
    }
    let shared = Shared::open();
    let store = shared.world.store();
    let target = json!({ "target": "https://two.example/", "effect": "irreversible" });
    let question = ask(&store, "two", 2, target);
    let key = ApprovalKey {
        session: question.session.clone(),
        digest: question.digest,
        policy: question.policy,
    };
    let listed = shared.run(ANNA, &["list"]);
    assert!(listed.code == 0 && listed.out.contains("https://two.example/"), "{listed:?}");
    let first = shared.run(ANNA, &["approve", &question.id]);
    assert!(first.code == 0 && first.err.contains("1 of 2 approvals"), "{first:?}");
    let again = shared.run(ANNA, &["approve", &question.id]);
    assert!(again.code == 1 && again.err.contains("has answered question"), "{again:?}");
    assert!(store.consume(&key).is_err(), "one person is one");
    for (uid, why) in
        [(EVE, "is not an approver"), (0, "for others than the user who keeps the desk")]
    {
        for args in [
            &["list"][..],
            &["show", &question.id],
            &["approve", &question.id],
            &["deny", &question.id],
        ] {
            let refused = shared.run(uid, args);
            assert!(refused.code == 1 && refused.err.contains(why), "{uid} {args:?}: {refused:?}");
            assert!(!refused.out.contains("two.example"), "{refused:?}");
        }
    }
    assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Pending);
    let second = shared.run(BEN, &["approve", &question.id, "--reason", "seen"]);
    assert!(second.code == 0 && second.err.contains("approved"), "{second:?}");
    let by = [format!("\"approve\" \"local:{ANNA}\""), format!("\"approve\" \"local:{BEN}\"")];
    assert_eq!(approvals(&store, &question), by);
    let used = store.consume(&key).unwrap();
    assert_eq!(used.approvers(), [format!("local:{ANNA}"), format!("local:{BEN}")]);
    store.checkpoint().unwrap();
    assert_eq!(shared.world.run(&["audit", "verify"]).code, 0);
}

#[test]
fn what_is_shown_at_the_socket_is_what_is_answered() {
    if !can_be_others() {
        return;
    }
    let shared = Shared::open();
    let store = shared.world.store();
    let question = ask(&store, "one", 1, json!({ "effect": "write" }));
    let shown = json_of(&shared.run(ANNA, &["show", &question.id, "--json"]));
    assert_eq!(shown["digest"], json!(question.digest));
    let denied = shared.run(ANNA, &["deny", &question.id, "--reason", "not today"]);
    assert_eq!(denied.code, 0, "{denied:?}");
    assert_eq!(store.question(&question.id).unwrap().answers[0].reason, "not today");
    let late = shared.run(BEN, &["approve", &question.id]);
    assert!(late.code == 1 && late.err.contains("was denied by"), "{late:?}");
    let timed = ask(&store, "timed", 1, json!({ "effect": "write" }));
    assert_eq!(shared.run(BEN, &["approve", &timed.id, "--for", "30m"]).code, 0);
    assert!(store.question(&timed.id).unwrap().until_ms.is_some());
    assert_eq!(shared.run(BEN, &["list", "--json"]).out.trim(), "[]");
}

/// As the desk's own user, whose every line is refused, whatever stands on it.
#[test]
fn whatever_is_written_to_the_socket_the_desk_stays_open() {
    let shared = Shared::open();
    let store = shared.world.store();
    let question = ask(&store, "one", 1, json!({ "effect": "write" }));
    let lines = [
        String::new(),
        "x".repeat(100_000),
        "{\"ask\":\"list\",\"all\":true,\"by\":\"local:64711\"}".to_owned(),
        json!({ "ask": "answer", "id": question.id, "digest": question.digest, "policy": question.policy,
                "yes": true, "life_ms": null, "endorse": null, "reason": "" })
        .to_string(),
    ];
    for line in lines {
        let mut stream = UnixStream::connect(shared.socket()).unwrap();
        // A line that is too long is not read to its end.
        drop(stream.write_all(format!("{line}\n").as_bytes()));
        let mut reply = String::new();
        drop(BufReader::new(&stream).read_line(&mut reply));
        assert!(reply.is_empty() || reply.contains("\"refused\""), "{reply}");
    }
    // Who connects and says nothing is served no more than a few at once. More than those are turned away while a place of
    // the lines above is not free again.
    let silent: Vec<UnixStream> =
        (0..100).map(|_| UnixStream::connect(shared.socket()).unwrap()).collect();
    until("most of them are turned away", || {
        silent.iter().filter(|stream| is_closed(stream)).count() >= 96
    });
    drop(silent);
    until("the desk answers again", || {
        let mut stream = UnixStream::connect(shared.socket()).unwrap();
        drop(stream.write_all(b"{\"ask\":\"list\",\"all\":true}\n"));
        let mut reply = String::new();
        drop(BufReader::new(&stream).read_line(&mut reply));
        reply.contains("\"refused\"")
    });
    assert_eq!(store.question(&question.id).unwrap().state, QuestionState::Pending);
}

/// Whether the other side has hung up.
fn is_closed(mut stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    matches!(stream.read(&mut [0]), Ok(0))
}

#[test]
fn whoever_takes_many_places_keeps_nobody_else_out() {
    if !can_be_others() {
        return;
    }
    let shared = Shared::open();
    // The desk's own user is a user like another here.
    let silent: Vec<UnixStream> =
        (0..100).map(|_| UnixStream::connect(shared.socket()).unwrap()).collect();
    until("most of them are turned away", || {
        silent.iter().filter(|stream| is_closed(stream)).count() >= 96
    });
    let listed = shared.run(ANNA, &["list", "--json"]);
    assert!(listed.code == 0 && listed.out.trim() == "[]", "{listed:?}");
}

#[test]
fn a_socket_is_not_put_where_others_could_put_theirs_and_not_without_names() {
    let world = World::new();
    drop(world.store());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("desk");
    let share = ["approvals", "share", "--socket", socket.to_str().unwrap()];
    let nobody = world.run(&share);
    assert!(nobody.code == 78 && nobody.err.contains("[approvers] people"), "{nobody:?}");
    world.configure("[approvers]\npeople = [\"local:64711\"]\n");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let open = world.run(&share);
    assert!(open.code == 69 && open.err.contains("mkdir -m 755"), "{open:?}");
    let inside = world.command(&share).env("BARTIZAN_BOX", "1").output().unwrap();
    assert_eq!(inside.status.code(), Some(69));
    assert!(!socket.exists());
    let none = world.run(&["approvals", "list", "--socket", socket.to_str().unwrap()]);
    assert!(none.code != 0 && none.err.contains("desk"), "{none:?}");
}
