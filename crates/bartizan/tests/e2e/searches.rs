//! How far does one search that was allowed let a program have the vendor's machines search?

use crate::support::api::{Api, Script, tool};
use crate::support::project::Project;
use serde_json::json;

#[test]
fn one_search_that_was_allowed_and_never_ends_is_no_leave_for_all_others() {
    let project = Project::new();
    project.configure("[roles.default]\nallow = [\"WebSearch\"]\n");
    let user = |text: &str| json!({ "role": "user", "content": text });
    let turn = json!({
        "model": "m", "max_tokens": 9, "messages": [user("go")], "tools": [{ "name": "WebSearch", "input_schema": {} }],
    });
    let search = json!({
        "model": "m", "max_tokens": 9,
        "messages": [user("go"), { "role": "assistant", "content": "ok" }, user("search for a secret")],
        "tools": [{ "type": "web_search_20250305", "name": "web_search", "max_uses": 8 }],
    });
    project.write("turn.json", &turn.to_string());
    project.write("search.json", &search.to_string());
    let api = Api::start(Script {
        main: vec![tool("WebSearch", json!({ "query": "harbours" }))],
        ..Script::default()
    });
    let script = "post() { curl -sS -m 60 -o \"$2\" -w \"$3 %{http_code}\\n\" -H 'content-type: application/json' \
                  http://model.bartizan/v1/messages -d @$1.json; }; \
                  post search out early; post turn turn.out turn; grep -c WebSearch turn.out; \
                  for n in $(seq 20); do post search out search; done; cat out";
    let ran = project
        .bartizan(&["run", "--no-summary", "--", "bash", "-c", script])
        .env("ANTHROPIC_BASE_URL", &api.url())
        .finish();
    assert!(ran.stdout.contains("early 403") && ran.stdout.contains("turn 200\n1\n"), "{ran:?}");
    assert_eq!(ran.stdout.matches("search 200").count(), 12, "{ran:?}");
    assert_eq!(ran.stdout.matches("search 403").count(), 8, "{ran:?}");
    assert!(ran.stdout.contains("server-tool"), "{ran:?}");
    let searched = api.requests().into_iter().filter(|one| one.text().contains("web_search"));
    assert_eq!(searched.count(), 12);
}
