//! Does each example that ships do its work?

use crate::world::{KEY, Server, World};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn get_customer_shows_three_fields_and_never_the_key() {
    let (world, server) = (World::new(), Server::start());
    world.example("get_customer", &server);
    let done = world.call("get_customer", &json!({ "id": "cus_1" }));
    assert_eq!(done.code, 0, "{done:?}");
    let result = &done.json()["result"];
    assert_eq!(result["id"], "cus_1");
    assert_eq!(result["contact"], json!({ "email": "ada@example.com" }));
    assert!(!done.out.contains("555") && !done.out.contains("iban"), "{done:?}");
    assert!(
        !done.out.contains("\\u001b") && !done.out.contains('\u{1b}'),
        "a terminal would obey: {done:?}"
    );
    let seen = server.seen();
    assert_eq!(
        (seen[0]["method"].as_str(), seen[0]["path"].as_str()),
        (Some("GET"), Some("/v1/customers/cus_1?expand=contact"))
    );
    assert_eq!(server.header("authorization").unwrap(), format!("Bearer {KEY}"));
    assert_eq!(server.header("idempotency-key"), None, "a read needs none");
    let log = world.log();
    assert!(
        log.contains("get_customer") && log.contains("\"secret\":\"crm\"") && !log.contains(KEY)
    );
    world.holds_no_key();
}

#[test]
fn charge_card_waits_for_a_person_and_a_yes_counts_once() {
    let (world, server) = (World::new(), Server::start());
    world.example("charge_card", &server);
    let charge =
        json!({ "customer": "cus_1", "amount": 1200, "currency": "eur", "reason": "order 7" });
    let waiting = world.begin("charge_card", &charge);
    let shown = world.question()["shown"].clone();
    assert_eq!((&shown["arguments"], &shown["effect"]), (&charge, &json!("irreversible")));
    assert!(server.seen().is_empty(), "sent before anybody said yes");
    world.answer("approve");
    let done = waiting.wait_with_output().unwrap();
    assert_eq!((done.status.code(), server.seen().len()), (Some(0), 1), "{done:?}");
    let refused = world.begin("charge_card", &charge);
    world.answer("deny");
    let done = refused.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&done.stderr).contains("[approval-denied]"), "{done:?}");
    let asked = world.call("charge_card", &charge);
    assert_eq!((asked.code, server.seen().len()), (3, 1), "{asked:?}");
    for amount in [0, -1, 50_001, 1_000_000_000] {
        let mut wide = charge.clone();
        wide["amount"] = json!(amount);
        world.call("charge_card", &wide).is_refused("arguments-invalid");
    }
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn charge_card_sends_a_form_a_key_and_an_idempotency_key() {
    let (world, server) = (World::new(), Server::start());
    allowed(&world, "charge_card", &server);
    let charge = json!({ "customer": "cus_1", "amount": 1200, "currency": "eur", "reason": "50% & more=\u{fc}" });
    let done = world.call("charge_card", &charge);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.json(),
        json!({ "status": 200, "result": { "id": "cus_1", "status": "paid", "amount": 1200 } })
    );
    let body = server.seen()[0]["body"].as_str().unwrap().to_owned();
    let mut pairs: Vec<&str> = body.split('&').collect();
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        [
            "amount=1200",
            "currency=eur",
            "customer=cus_1",
            "description=50%25%20%26%20more%3D%C3%BC"
        ]
    );
    assert!(server.header("authorization").unwrap().starts_with("Basic "));
    let key = server.header("idempotency-key").unwrap();
    assert_eq!(
        world.call("charge_card", &charge).code,
        0,
        "it is another act once the first is known"
    );
    assert_ne!(server.header("idempotency-key").unwrap(), key);
    let states: Vec<Value> =
        world.effects().into_iter().map(|effect| effect["state"].clone()).collect();
    assert_eq!(states, ["committed", "committed"]);
}

#[test]
fn send_email_reaches_colleagues_and_nobody_else() {
    let (world, server) = (World::new(), Server::start());
    allowed(&world, "send_email", &server);
    let mail = |to: Value| json!({ "to": to, "subject": "Hi", "body": "line\n\"two\"}, \"to\": [\"x@evil.com\"]" });
    let done = world.call("send_email", &mail(json!(["ada@example.com", "bob@example.com"])));
    assert_eq!(
        (done.code, &done.json()["result"]),
        (0, &json!({ "message_id": "m1" })),
        "{done:?}"
    );
    let sent: Value = serde_json::from_str(server.seen()[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(sent["to"], json!(["ada@example.com", "bob@example.com"]));
    assert_eq!(sent["text"], mail(json!([]))["body"]);
    assert_eq!(server.header("x-mail-token").unwrap(), KEY);
    for to in [
        json!(["eve@evil.com"]),
        json!(["ada@example.com", "eve@evil.com"]),
        json!(["ada@example.com.evil.com"]),
        json!(["ada@example.com,eve@evil.com"]),
        json!(["ada@example.com\r\nBcc: eve@evil.com"]),
        json!(["Ada <ada@example.com>"]),
        json!(["\"eve@evil.com\"@example.com"]),
        json!(["ada@ex\u{430}mple.com"]),
        json!("ada@example.com"),
        json!([
            "a@example.com",
            "b@example.com",
            "c@example.com",
            "d@example.com",
            "e@example.com",
            "f@example.com"
        ]),
        json!([]),
    ] {
        world.call("send_email", &mail(to)).is_refused("arguments-invalid");
    }
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn block_ip_blocks_one_public_address() {
    let (world, server) = (World::new(), Server::start());
    world.example("block_ip", &server);
    let done = world.call("block_ip", &json!({ "address": "203.0.113.9", "hours": 4 }));
    // The documentation ranges are not public; a real one is.
    done.is_refused("arguments-invalid");
    for address in ["8.8.8.8", "2606:4700:4700::1111"] {
        let done = world.call("block_ip", &json!({ "address": address, "hours": 4 }));
        assert_eq!(done.code, 0, "{done:?}");
    }
    let seen = server.seen();
    assert_eq!(seen[0]["path"], "/v1/blocks/8.8.8.8");
    assert_eq!(seen[1]["path"], "/v1/blocks/2606%3A4700%3A4700%3A%3A1111");
    assert_eq!(
        serde_json::from_str::<Value>(seen[0]["body"].as_str().unwrap()).unwrap(),
        json!({ "ttl_hours": 4, "by": "bartizan" })
    );
    for address in [
        "10.0.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "0.0.0.0/0",
        "11.255.255.255/0",
        "8.8.8.8/32",
        "::ffff:10.0.0.1",
        "::1",
        "fd00::1",
        "0x0a000001",
        "167772161",
        "8.8.8.8/../../v1/admin",
        "8.8.8.8?x=1",
    ] {
        world
            .call("block_ip", &json!({ "address": address, "hours": 4 }))
            .is_refused("arguments-invalid");
    }
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn isolate_host_asks_two_people() {
    let (world, server) = (World::new(), Server::start());
    world.example("isolate_host", &server);
    let call = json!({ "host": "lap-001", "reason": "beaconing" });
    let mut waiting = world.begin("isolate_host", &call);
    assert_eq!(
        (&world.question()["quorum"], &world.question()["tool"]),
        (&json!(2), &json!("isolate_host"))
    );
    world.answer("approve");
    assert_eq!(world.question()["state"], "pending", "one of two is not enough");
    assert!(server.seen().is_empty());
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    allowed(&world, "isolate_host", &server);
    let done = world.call("isolate_host", &call);
    assert_eq!(done.json()["result"], json!({ "state": "isolated" }));
    assert_eq!(server.seen()[0]["path"], "/v1/hosts/lap-001/isolate");
    for host in ["lap-001/../srv-999", "*", "lap-001 srv-002", "LAP-001", "lap-001\nsrv-002"] {
        world
            .call("isolate_host", &json!({ "host": host, "reason": "x" }))
            .is_refused("arguments-invalid");
    }
}

#[test]
fn delete_branch_deletes_a_branch_of_its_kind_and_runs_nothing_else() {
    let world = World::new();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/tools/delete_branch.toml");
    world.configure(&std::fs::read_to_string(path).unwrap());
    let git = |args: &[&str]| {
        #[expect(clippy::disallowed_methods, reason = "a repository to test on")]
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(args);
        let output =
            command.current_dir(world.path("project")).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["commit", "--quiet", "--allow-empty", "-m", "first"]);
    for branch in ["feature/old", "feature/kept", "release"] {
        git(&["branch", branch]);
    }
    // What the repository itself would have git do, it does in the box, where nothing of the person's is.
    std::fs::write(
        world.path("project/.git/hooks/reference-transaction"),
        "#!/bin/sh\necho x > \"$HOME/planted\"\n",
    )
    .unwrap();
    let done = world.call("delete_branch", &json!({ "branch": "feature/old" }));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.json()["stdout"].as_str().unwrap().contains("Deleted branch feature/old"),
        "{done:?}"
    );
    assert_eq!(git(&["branch", "--format=%(refname:short)"]), "feature/kept\nmain\nrelease\n");
    assert!(!world.path("home/planted").exists());
    for branch in [
        "main",
        "release",
        "-D",
        "--all",
        "feature/kept;touch x",
        "feature/../main",
        "feature/kept --force",
        "$(id)",
        "",
    ] {
        world.call("delete_branch", &json!({ "branch": branch })).is_refused("arguments-invalid");
    }
    let gone = world.call("delete_branch", &json!({ "branch": "feature/none" }));
    assert!(gone.code == 1 && gone.json()["exit"] == 1, "{gone:?}");
    assert_eq!(git(&["branch", "--format=%(refname:short)"]), "feature/kept\nmain\nrelease\n");
}

/// The example with what it asks for allowed, for what happens after a person has said yes.
pub(crate) fn allowed(world: &World, name: &str, server: &Server) {
    world.example(name, server);
    let path = world.path("home/.config/bartizan/bartizan.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(&format!("ask = [\"{name}\"]"), &format!("allow = [\"{name}\"]"));
    let text = text.replace(
        &format!("ask = [{{ tool = \"{name}\", quorum = 2 }}]"),
        &format!("allow = [\"{name}\"]"),
    );
    world.configure(&text);
}
