//! Does an argument ever become structure? Every place is attacked, and what is honest arrives as it was given.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

use bartizan_gate::name::ToolName;
use bartizan_gate::tool::{Catalogue, Effect};
use bartizan_mcp::declare::{
    Act, Body, Bounds, CommandTool, DeclareError, Declared, Filled, HttpCall, HttpParts, HttpTool,
    Input, Inputs, JsonTemplate, Kind, Network, Parts, Projection, Rules, Template, Text, Unfit,
    Workspace, definitions,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn text(name: &str, text: Text, rules: Rules) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add(name, Input::new(Kind::Text(text), rules).unwrap()).unwrap();
    inputs
}

fn tool(inputs: Inputs, act: Act) -> Result<Declared, DeclareError> {
    let act = match act {
        Act::Http(http) => Act::Http(http.with_slashes(&inputs)),
        act @ Act::Command(_) => act,
    };
    Declared::new(Parts {
        name: ToolName::parse("probe").unwrap(),
        description: "a probe".to_owned(),
        effect: Effect::Write,
        inputs,
        act,
        secret: None,
        projection: Projection::default(),
        bounds: Bounds::default(),
    })
}

fn http<'a>(url: &'a str, method: &'a str) -> HttpParts<'a> {
    HttpParts { method, url, query: Vec::new(), headers: Vec::new(), body: Body::None }
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// The argument in every place of a request at once but the path.
fn everywhere(lines: bool) -> Declared {
    let rule = Text::of(4096);
    let inputs = text("v", if lines { rule.lines() } else { rule }, Rules::default());
    let parts = HttpParts {
        query: vec![("q".to_owned(), template("{v}")), ("fixed".to_owned(), template("a{v}b"))],
        body: Body::Json(
            JsonTemplate::parse(&json!({ "whole": "{v}", "part": "<{v}>", "n": 1 })).unwrap(),
        ),
        ..http("https://api.example.com/v1/x", "POST")
    };
    tool(inputs, Act::Http(HttpTool::parse(parts).unwrap())).unwrap()
}

fn in_path(slashes: bool) -> Declared {
    let rule = Text::of(4096);
    let inputs = text("v", if slashes { rule.slashes() } else { rule }, Rules::default());
    tool(
        inputs,
        Act::Http(HttpTool::parse(http("https://api.example.com/v1/c/{v}/end", "GET")).unwrap()),
    )
    .unwrap()
}

fn in_header() -> Declared {
    let inputs = text("v", Text::of(4096).lines(), Rules::default());
    let headers = vec![("x-note".to_owned(), template("n={v}"))];
    let parts = HttpParts { headers, ..http("https://api.example.com/v1/x", "GET") };
    tool(inputs, Act::Http(HttpTool::parse(parts).unwrap())).unwrap()
}

fn command(argv: &[&str], dash: bool) -> Result<Declared, DeclareError> {
    let inputs = text("v", Text::of(4096).lines(), Rules { dash, ..Rules::default() });
    let command = CommandTool::parse(argv.iter().copied(), Network::None, Workspace::ReadOnly)?;
    tool(inputs, Act::Command(command))
}

fn request(tool: &Declared, value: &str) -> Result<HttpCall, Unfit> {
    match tool.fill(&json!({ "v": value }))? {
        Filled::Http(call) => Ok(call),
        Filled::Command(argv) => panic!("{argv:?}"),
    }
}

fn argv(tool: &Declared, value: &str) -> Result<Vec<String>, Unfit> {
    match tool.fill(&json!({ "v": value }))? {
        Filled::Command(argv) => Ok(argv),
        Filled::Http(call) => panic!("{call:?}"),
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn no_argument_leaves_its_segment() {
    let tool = in_path(false);
    assert_eq!(request(&tool, "cus_1").unwrap().path, "/v1/c/cus_1/end");
    assert_eq!(
        request(&tool, "a b?c#d&e=f;g:@ü").unwrap().path,
        "/v1/c/a%20b%3Fc%23d%26e%3Df%3Bg%3A%40%C3%BC/end"
    );
    for value in [
        "..",
        ".",
        "../admin",
        "a/../../admin",
        "a/b",
        "/",
        "//evil.com",
        "%2e%2e",
        "%2f",
        "..%2fadmin",
        "%252e",
        "a\\b",
        "..\\admin",
        "a\r\nHost: evil",
        "a\0",
        "",
        "a\u{1b}[2J",
    ] {
        assert!(request(&tool, value).is_err(), "{value:?}");
    }
}

#[test]
fn a_slash_is_taken_only_where_the_input_says_so_and_stays_escaped() {
    let tool = in_path(true);
    assert_eq!(request(&tool, "feature/x").unwrap().path, "/v1/c/feature%2Fx/end");
    for value in ["a/../b", "a//b", "/a", "a/", "a/.", "../a", "a/..", "a\\b"] {
        assert!(request(&tool, value).is_err(), "{value:?}");
    }
}

#[test]
fn two_arguments_do_not_make_a_dot_segment_together() {
    let mut inputs = Inputs::default();
    for name in ["a", "b"] {
        inputs.add(name, Input::new(Kind::Text(Text::of(10)), Rules::default()).unwrap()).unwrap();
    }
    let act = HttpTool::parse(http("https://api.example.com/{a}{b}/x", "GET")).unwrap();
    let tool = tool(inputs, Act::Http(act)).unwrap();
    assert!(tool.fill(&json!({"a": "..", "b": ""})).is_err());
    assert!(tool.fill(&json!({"a": ".", "b": "."})).is_err());
    let inputs = text("v", Text::of(10), Rules::default());
    let act = HttpTool::parse(http("https://api.example.com/.{v}/x", "GET")).unwrap();
    let dotted = self::tool(inputs, Act::Http(act)).unwrap();
    assert!(dotted.fill(&json!({"v": "."})).is_err());
    assert!(dotted.fill(&json!({"v": "well-known"})).is_ok());
}

#[test]
fn no_argument_ends_its_header() {
    let tool = in_header();
    assert_eq!(
        request(&tool, "a: b").unwrap().headers,
        [("x-note".to_owned(), "n=a: b".to_owned())]
    );
    for value in ["a\r\nx-admin: 1", "a\nb", "a\rb", "a\0b", "é", " a", "a ", "a\u{85}b"] {
        assert!(request(&tool, value).is_err(), "{value:?}");
    }
}

#[test]
fn no_argument_becomes_an_option_or_a_second_argument() {
    let plain = command(&["git", "log", "{v}"], false).unwrap();
    assert_eq!(
        argv(&plain, "a b; rm -rf / $(x) `y`\n'").unwrap(),
        ["git", "log", "a b; rm -rf / $(x) `y`\n'"]
    );
    for value in ["-x", "--output=/etc/passwd", "-"] {
        assert!(argv(&plain, value).is_err(), "{value}");
        assert_eq!(
            argv(&command(&["git", "log", "--", "{v}"], false).unwrap(), value).unwrap()[3],
            value
        );
        assert_eq!(
            argv(&command(&["git", "log", "--grep={v}"], false).unwrap(), value).unwrap()[2],
            format!("--grep={value}")
        );
        assert_eq!(argv(&command(&["expr", "{v}"], true).unwrap(), value).unwrap()[1], value);
    }
    assert!(argv(&plain, "a\0b").is_err());
}

#[test]
fn a_declaration_that_could_be_steered_is_refused() {
    for argv in [
        &["{v}"][..],
        &["sh", "-c", "{v}"],
        &["/bin/bash", "-c", "echo {v}"],
        &["env", "{v}"],
        &[],
        &["git", "{nobody}"],
        &["git", "x"],
    ] {
        assert!(command(argv, false).is_err(), "{argv:?}");
    }
    for url in [
        "https://{v}/x",
        "https://api.{v}.com/x",
        "https://api.example.com",
        "http://api.example.com/{v}",
        "ftp://a.b/{v}",
        "https://user@api.example.com/{v}",
        "https://api.example.com/{v}?q=1",
        "https://api.example.com/a/../{v}",
        "https://api.example.com//{v}",
        "https://0x7f.1/{v}",
        "{v}",
        "https://api.example.com/{v}#x",
    ] {
        assert!(HttpTool::parse(http(url, "GET")).is_err(), "{url}");
    }
    for name in [
        "Authorization",
        "host",
        "Cookie",
        "content-length",
        "transfer-encoding",
        "proxy-x",
        "a b",
        "a\r\nb",
        "",
    ] {
        let headers = vec![(name.to_owned(), template("x"))];
        let parts = HttpParts { headers, ..http("https://api.example.com/x", "GET") };
        assert!(HttpTool::parse(parts).is_err(), "{name}");
    }
    for method in ["get", "CONNECT", "TRACE", "GET / HTTP/1.1", ""] {
        assert!(HttpTool::parse(http("https://api.example.com/x", method)).is_err(), "{method}");
    }
}

#[test]
fn what_is_not_described_is_not_taken() {
    let tool = everywhere(false);
    for arguments in [
        json!({}),
        json!({"v": 1}),
        json!({"v": null}),
        json!({"v": ["a"]}),
        json!({"v": "a", "w": 1}),
        json!([]),
        json!("v"),
    ] {
        assert!(tool.fill(&arguments).is_err(), "{arguments}");
    }
}

#[test]
fn a_value_is_of_its_own_type_in_json_and_one_that_is_left_out_leaves_no_trace() {
    let mut inputs = Inputs::default();
    let optional = || Rules { optional: true, ..Rules::default() };
    let mut add = |name: &str, kind: Kind, rules: Rules| {
        inputs.add(name, Input::new(kind, rules).unwrap()).unwrap();
    };
    add("amount", Kind::Integer { least: 1, most: 500 }, Rules::default());
    add("now", Kind::Bool, optional());
    add(
        "to",
        Kind::Email(vec!["example.com".to_owned()]),
        Rules { many: Some(2), ..Rules::default() },
    );
    let body =
        json!({ "amount": "{amount}", "now": "{now}", "to": "{to}", "said": "{amount} cents" });
    let parts = HttpParts {
        query: vec![("to".to_owned(), template("{to}")), ("now".to_owned(), template("{now}"))],
        body: Body::Json(JsonTemplate::parse(&body).unwrap()),
        ..http("https://api.example.com/x", "POST")
    };
    let tool = tool(inputs, Act::Http(HttpTool::parse(parts).unwrap())).unwrap();
    let Filled::Http(call) =
        tool.fill(&json!({"amount": 7, "to": ["a@example.com", "b@example.com"]})).unwrap()
    else {
        panic!()
    };
    let sent: Value = serde_json::from_slice(&call.body.unwrap().1).unwrap();
    assert_eq!(
        sent,
        json!({"amount": 7, "to": ["a@example.com", "b@example.com"], "said": "7 cents"})
    );
    assert_eq!(call.query.unwrap(), "to=a%40example.com&to=b%40example.com");
    for arguments in [
        json!({"amount": 501, "to": ["a@example.com"]}),
        json!({"amount": 7.5, "to": ["a@example.com"]}),
        json!({"amount": "7", "to": ["a@example.com"]}),
        json!({"amount": 7, "to": []}),
        json!({"amount": 7, "to": "a@example.com"}),
        json!({"amount": 7, "to": ["a@example.com", "b@evil.com"]}),
        json!({"amount": 7, "to": ["a@example.com", "b@example.com", "c@example.com"]}),
    ] {
        assert!(tool.fill(&arguments).is_err(), "{arguments}");
    }
}

#[test]
fn the_gate_takes_every_definition() {
    let mut catalogue = Catalogue::builtin().unwrap();
    catalogue.add(&definitions([everywhere(true)].iter())).unwrap();
    let tool = catalogue.get("probe").unwrap();
    assert_eq!((tool.server().as_str(), tool.effect()), ("tools", Effect::Write));
    assert_eq!(tool.reach().unwrap().to_string(), "api.example.com:443");
    assert!(
        tool.shape().check(&json!({"v": "x"})).is_ok()
            && tool.shape().check(&json!({"w": "x"})).is_err()
    );
}

proptest! {
    #[test]
    fn what_passes_a_path_is_one_segment_and_says_what_was_given(value in r"([a-z./\\%?#;&=:@ \r\n\x00üA-F0-9]|\PC){0,24}") {
        if let Ok(call) = request(&in_path(false), &value) {
            let parts: Vec<&str> = call.path.split('/').collect();
            prop_assert_eq!(parts.len(), 5, "{}", call.path);
            prop_assert_eq!(unescaped(parts[3]), value);
            prop_assert!(call.path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\;".contains(&b)));
        }
    }

    #[test]
    fn what_passes_with_slashes_stays_below_its_place(value in r"([a-z./\\%]|\PC){0,24}") {
        if let Ok(call) = request(&in_path(true), &value) {
            let whole = unescaped(&call.path);
            prop_assert!(whole.starts_with("/v1/c/") && whole.ends_with("/end"));
            prop_assert!(!whole.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")));
        }
    }

    #[test]
    fn a_query_and_json_say_what_was_given_and_nothing_else(value in r#"([&=?#%+;{}"'\\\[\] \n]|\PC){1,40}"#) {
        if let Ok(call) = request(&everywhere(true), &value) {
            let query = call.query.unwrap();
            let pairs: Vec<(&str, &str)> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
            prop_assert_eq!(pairs.len(), 2);
            prop_assert_eq!((pairs[0].0, unescaped(pairs[0].1)), ("q", value.clone()));
            prop_assert_eq!((pairs[1].0, unescaped(pairs[1].1)), ("fixed", format!("a{value}b")));
            let sent: Value = serde_json::from_slice(&call.body.unwrap().1).unwrap();
            prop_assert_eq!(sent, json!({ "whole": value, "part": format!("<{value}>"), "n": 1 }));
        }
    }

    #[test]
    fn a_header_is_one_line(value in r"([ -~\r\n\t\x00]|\PC){1,40}") {
        if let Ok(call) = request(&in_header(), &value) {
            prop_assert!(call.headers[0].1.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(&call.headers[0].1, &format!("n={value}"));
        }
    }

    #[test]
    fn an_argument_stays_one_argument(value in r"([- \n;$`]|\PC){1,40}") {
        if let Ok(argv) = argv(&command(&["git", "log", "{v}"], false).unwrap(), &value) {
            prop_assert!(!value.starts_with('-'));
            prop_assert_eq!(argv, ["git", "log", value.as_str()]);
        }
    }

    #[test]
    fn a_template_never_panics(source in r"[a-z{}_ ]{0,20}", value in "\\PC{0,10}") {
        if let Ok(template) = Template::parse(&source) {
            let parts = HttpParts { query: vec![("q".to_owned(), template)], ..http("https://api.example.com/x", "GET") };
            if let Ok(tool) = tool(text("v", Text::of(64), Rules::default()), Act::Http(HttpTool::parse(parts).unwrap())) {
                drop(request(&tool, &value));
            }
        }
    }
}
