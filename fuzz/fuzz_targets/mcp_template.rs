//! Can any argument leave its place in a request or a command?
#![no_main]

use bartizan_gate::name::ToolName;
use bartizan_gate::tool::Effect;
use bartizan_mcp::declare::{
    Act, Body, Bounds, CommandTool, Declared, Filled, HttpParts, HttpTool, Input, Inputs,
    JsonTemplate, Kind, Network, Parts, Projection, Rules, Template, Text, Workspace,
};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::sync::LazyLock;

fn declared(act: Act) -> Declared {
    let mut inputs = Inputs::default();
    let input = Input::new(Kind::Text(Text::of(4096).lines()), Rules::default()).expect("an input");
    inputs.add("v", input).expect("a name");
    Declared::new(Parts {
        name: ToolName::parse("probe").expect("a name"),
        description: String::new(),
        effect: Effect::Read,
        inputs,
        act,
        secret: None,
        projection: Projection::default(),
        bounds: Bounds::default(),
    })
    .expect("a tool")
}

fn template(text: &str) -> Template {
    Template::parse(text).expect("a template")
}

static REQUEST: LazyLock<Declared> = LazyLock::new(|| {
    let parts = HttpParts {
        method: "POST",
        url: "https://api.example.com/a/{v}/b",
        query: vec![("q".to_owned(), template("x{v}"))],
        headers: vec![("x-v".to_owned(), template("{v}"))],
        body: Body::Json(JsonTemplate::parse(&json!({ "v": "{v}" })).expect("JSON")),
    };
    declared(Act::Http(HttpTool::parse(parts).expect("a request")))
});
static COMMAND: LazyLock<Declared> = LazyLock::new(|| {
    let argv = ["git", "log", "{v}"];
    declared(Act::Command(
        CommandTool::parse(argv, Network::None, Workspace::ReadOnly).expect("a command"),
    ))
});

fuzz_target!(|value: &str| {
    let arguments = json!({ "v": value });
    if let Ok(Filled::Http(call)) = REQUEST.fill(&arguments) {
        assert_eq!(call.path.split('/').count(), 4, "{}", call.path);
        assert!(
            call.path.starts_with("/a/")
                && call.path.ends_with("/b")
                && !call.path.contains("/./")
                && !call.path.contains("/../")
        );
        assert!(call.path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\;".contains(&b)));
        assert!(call.query.is_some_and(|query| !query.contains(['&', '#', ' ', '\r', '\n'])));
        assert!(
            call.headers.iter().all(|(_, value)| value.bytes().all(|b| (b' '..=b'~').contains(&b)))
        );
        let sent: serde_json::Value =
            serde_json::from_slice(&call.body.expect("a body").1).expect("JSON");
        assert_eq!(sent, arguments);
    }
    if let Ok(Filled::Command(argv)) = COMMAND.fill(&arguments) {
        assert_eq!(argv, ["git", "log", value]);
        assert!(!value.starts_with('-') && !value.contains('\0'));
    }
});
