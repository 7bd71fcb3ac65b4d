//! Is what fits a shape let in, and what does not named with its place?

use super::compile::FIELDS_MAX;
use super::*;
use serde_json::json;

fn shape(schema: &Value) -> Shape {
    Shape::compile(schema).unwrap()
}

fn refusal(arguments: &Value) -> String {
    shape(&any()).check(arguments).unwrap_err().to_string()
}

fn any() -> Value {
    json!({"type": "object", "properties": {
        "path": {"type": "string"},
        "mode": {"enum": ["a", "b"]},
        "lines": {"type": "integer", "minimum": 0, "maximum": 10},
        "deep": {"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "ratio": {"type": "number"},
        "free": {}
    }, "required": ["path"]})
}

#[test]
fn arguments_that_fit_are_typed() {
    let checked = shape(&any())
        .check(&json!({"path": "x", "mode": "a", "lines": 3.0, "deep": {"x": true}, "tags": ["t"], "note": null,
                       "ratio": 0.5, "free": {"a": [1]}}))
        .unwrap();
    let context =
        cedar_policy::Context::from_pairs([("input".to_owned(), checked.cedar())]).unwrap();
    insta::assert_snapshot!(context.to_string());
}

#[test]
fn an_unknown_argument_is_refused() {
    assert_eq!(
        refusal(&json!({"path": "x", "evil": 1})),
        "`/evil` is not an argument here; leave it out"
    );
    let nested = refusal(&json!({"path": "x", "deep": {"x": true, "y": 1}}));
    assert_eq!(nested, "`/deep/y` is not an argument here; leave it out");
}

#[test]
fn an_unknown_argument_is_refused_even_if_the_schema_is_open() {
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {}});
    assert!(shape(&open).check(&json!({"b": 1})).is_err());
}

#[test]
fn what_does_not_fit_is_refused() {
    for arguments in [
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        json!({"path": null}),
        json!({"path": 1}),
        json!({"path": ["x"]}),
        json!({"path": "x", "mode": "c"}),
        json!({"path": "x", "lines": 11}),
        json!({"path": "x", "lines": 1.5}),
        json!({"path": "x", "lines": "1"}),
        json!({"path": "x", "lines": -1}),
        json!({"path": "x", "lines": 1e300}),
        json!({"path": "x", "deep": {}}),
        json!({"path": "x", "deep": null}),
        json!({"path": "x", "tags": ["a", "b", "c"]}),
        json!({"path": "x", "tags": [1]}),
        json!({"path": "x", "tags": "a"}),
        json!({"path": "x", "note": 1}),
        json!({"path": "x", "ratio": "1"}),
    ] {
        assert!(shape(&any()).check(&arguments).is_err(), "{arguments} was taken");
    }
}

#[test]
fn bottomless_and_endless_arguments_are_refused() {
    let mut deep = json!(1);
    for _ in 0..=DEPTH_MAX {
        deep = json!([deep]);
    }
    assert!(refusal(&json!({"path": "x", "free": deep})).contains("nested too deeply"));
    let wide: Vec<u8> = vec![0; VALUES_MAX + 1];
    assert!(refusal(&json!({"path": "x", "free": wide})).contains("too many"));
    let long = "x".repeat(BYTES_MAX + 1);
    assert!(refusal(&json!({"path": long})).contains("too long"));
}

#[test]
fn a_foreign_name_in_an_error_is_escaped_and_cut() {
    let refused = refusal(&json!({"path": "x", "\u{1b}[31m\n\u{202e}": 1}));
    assert!(
        refused.is_ascii() && !refused.contains('\n') && !refused.contains('\u{1b}'),
        "{refused}"
    );
    let long = "y".repeat(10_000);
    assert!(refusal(&json!({"path": "x", long: 1})).len() < 200);
}

#[test]
fn a_schema_that_could_mean_anything_is_no_shape() {
    for schema in [
        json!(null),
        json!(true),
        json!({}),
        json!({"type": "string"}),
        json!({"type": "object"}),
        json!({"$ref": "#/x"}),
        json!({"type": "object", "properties": {"a": {}}, "required": ["b"]}),
        json!({"type": "object", "properties": {"": {"type": "string"}}}),
        json!({"type": "object", "properties": {"a": {}}, "required": "a"}),
    ] {
        assert!(Shape::compile(&schema).is_err(), "{schema}");
    }
    let many: Map<String, Value> = (0..=FIELDS_MAX).map(|n| (format!("f{n}"), json!({}))).collect();
    assert!(Shape::compile(&json!({"type": "object", "properties": many})).is_err());
}

#[test]
fn a_debug_print_shows_no_value() {
    let checked = shape(&any()).check(&json!({"path": "hunter2"})).unwrap();
    assert_eq!(format!("{checked:?}"), r#"{"path"}"#);
}
