//! Is an irreversible act made once, whatever dies or is lost on the way?

use crate::examples::allowed;
use crate::world::{Server, World};
use serde_json::{Value, json};

fn charge() -> Value {
    json!({ "customer": "cus_1", "amount": 1200, "currency": "eur", "reason": "order 7" })
}

fn state(world: &World) -> String {
    world.effects()[0]["state"].as_str().unwrap().to_owned()
}

fn id(world: &World) -> String {
    world.effects()[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_kill_between_sending_and_the_answer_leaves_the_act_in_doubt() {
    let (world, server) = (World::new(), Server::start());
    allowed(&world, "charge_card", &server);
    server.mode("hang");
    let arguments = charge().to_string();
    let mut child =
        world.command(&["tool", "call", "charge_card", "--json", &arguments]).spawn().unwrap();
    server.wait_for(1);
    // SIGKILL: nothing of ours runs any more.
    child.kill().unwrap();
    child.wait().unwrap();
    server.mode("ok");
    let again = world.call("charge_card", &charge());
    again.is_refused("effect-unresolved");
    assert_eq!((state(&world).as_str(), server.seen().len()), ("ambiguous", 1), "{again:?}");
    // Another act is none of its business.
    let mut other = charge();
    other["amount"] = json!(1300);
    assert_eq!(world.call("charge_card", &other).code, 0);
    let open: Value = serde_json::from_str(&world.run(&["effects", "list", "--json"]).out).unwrap();
    let id = open[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.run(&["effects", "resolve", &id[..8], "--failed"]).code, 0);
    assert_eq!(world.call("charge_card", &charge()).code, 0);
    assert_eq!(server.seen().len(), 3);
    let log = world.log();
    for act in ["\"act\":\"begin\"", "\"act\":\"doubt\"", "\"act\":\"resolve\"", "\"act\":\"end\""]
    {
        assert!(log.contains(act), "{act} is not on the log");
    }
}

#[test]
fn a_lost_answer_leaves_it_in_doubt_and_a_person_settles_it() {
    let (world, server) = (World::new(), Server::start());
    allowed(&world, "charge_card", &server);
    server.mode("drop");
    let lost = world.call("charge_card", &charge());
    assert_eq!((lost.code, &lost.json()["state"]), (1, &json!("ambiguous")), "{lost:?}");
    server.mode("ok");
    world.call("charge_card", &charge()).is_refused("effect-unresolved");
    assert_eq!(server.seen().len(), 1);
    let id = id(&world);
    assert_eq!(world.run(&["effects", "resolve", &id, "--committed"]).code, 0);
    assert_eq!(state(&world), "committed");
    let twice = world.run(&["effects", "resolve", &id, "--failed"]);
    assert!(twice.code == 1 && twice.err.contains("is committed"), "{twice:?}");
    assert_ne!(world.run(&["effects", "resolve", &id]).code, 0, "one of the two must be said");
}

#[test]
fn what_never_left_or_was_refused_may_be_tried_again() {
    let (world, server) = (World::new(), Server::start());
    allowed(&world, "charge_card", &server);
    for status in ["402", "422"] {
        server.mode(status);
        let refused = world.call("charge_card", &charge());
        assert_eq!((refused.code, state(&world).as_str()), (1, "failed"), "{refused:?}");
    }
    server.mode("ok");
    assert_eq!(world.call("charge_card", &charge()).code, 0);
    drop(server);
    let unsent = world.call("charge_card", &charge());
    assert_eq!((unsent.code, state(&world).as_str()), (1, "failed"), "{unsent:?}");
}

#[test]
fn a_status_that_says_nothing_of_the_act_leaves_it_in_doubt() {
    let (world, server) = (World::new(), Server::start());
    allowed(&world, "charge_card", &server);
    for (at, mode) in ["500", "503", "redirect 303 http://127.0.0.1:1/"].into_iter().enumerate() {
        server.mode(mode);
        let mut charge = charge();
        charge["amount"] = json!(at + 1);
        let done = world.call("charge_card", &charge);
        assert_eq!((done.code, state(&world).as_str()), (1, "ambiguous"), "{mode}: {done:?}");
        world.call("charge_card", &charge).is_refused("effect-unresolved");
    }
    // Answered with yes, and cut: it happened, and only what was said is lost.
    server.mode("half");
    let half = world.call("charge_card", &charge());
    assert_eq!(
        (half.code, state(&world).as_str(), &half.json()["status"]),
        (1, "committed", &json!(200)),
        "{half:?}"
    );
}

#[test]
fn the_same_act_is_not_under_way_twice() {
    let (world, server) = (World::new(), Server::start());
    allowed(&world, "charge_card", &server);
    server.mode("slow");
    let arguments = charge().to_string();
    let args = ["tool", "call", "charge_card", "--json", arguments.as_str()];
    let children: Vec<_> = (0..4).map(|_| world.command(&args).spawn().unwrap()).collect();
    let codes: Vec<_> =
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let done = codes.iter().filter(|output| output.status.success()).count();
    assert_eq!(server.seen().len(), done, "{codes:?}");
    assert!(done >= 1, "{codes:?}");
    // However they met, nothing is in doubt after.
    assert!(world.effects().iter().all(|effect| effect["state"] == "committed"));
}
