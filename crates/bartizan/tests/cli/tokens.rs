//! Is a token shown once, kept as a hash, and good for a role and a time alone?

use super::{World, json_of};
use std::fs;

#[test]
fn a_token_is_shown_once_and_kept_as_a_hash_alone() {
    let world = World::new();
    world.configure("[roles.reader]\nallow = [\"Read\"]\n");
    let made = world.run(&[
        "agent", "token", "create", "--role", "reader", "--tool", "echo", "--name", "laptop",
        "--json",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    let made = json_of(&made);
    let (token, id) = (made["token"].as_str().unwrap(), made["about"]["id"].as_str().unwrap());
    assert!(token.starts_with("bzt_") && token.len() == 76);
    let listed = world.run(&["agent", "token", "list"]);
    assert!(listed.out.contains("laptop") && listed.out.contains("only echo"), "{listed:?}");
    let scanned = fs::read(world.state().join("bartizan.db")).unwrap();
    let body = token.strip_prefix("bzt_").unwrap().as_bytes();
    assert!(!scanned.windows(body.len()).any(|part| part == body));
    let log = world.run(&["audit", "list", "--json", "--event", "token"]);
    assert!(log.out.contains("\"act\":\"issue\"") && !log.out.contains(body_start(token)));
    assert_eq!(world.run(&["agent", "token", "revoke", id.get(..8).unwrap()]).code, 0);
    assert_eq!(world.run(&["agent", "token", "list"]).out, "");
    let all = world.run(&["agent", "token", "list", "--all"]);
    assert!(all.out.contains("revoked") && !all.out.contains(body_start(token)), "{all:?}");
}

fn body_start(token: &str) -> &str {
    token.get(4..20).unwrap()
}

#[test]
fn a_token_needs_a_role_that_is_there_and_an_end() {
    let world = World::new();
    world.configure("[roles.reader]\nallow = [\"Read\"]\n");
    let create = |rest: &[&str]| {
        let args: Vec<_> = ["agent", "token", "create"].iter().chain(rest).copied().collect();
        world.run(&args)
    };
    let unknown = create(&["--role", "raeder"]);
    assert!(unknown.code == 78 && unknown.err.contains("did you mean `reader`"), "{unknown:?}");
    let forever = create(&["--role", "reader", "--expires", "400d"]);
    assert!(forever.code == 1 && forever.err.contains("at most 366 days"), "{forever:?}");
    assert_eq!(create(&["--role", "reader", "--expires", "never"]).code, 2);
    assert_eq!(create(&["--role", "reader", "--expires", "1h"]).code, 0);
    let gone = world.run(&["agent", "token", "revoke", "ffff"]);
    assert!(gone.code == 1 && gone.err.contains("there is no token"), "{gone:?}");
}
