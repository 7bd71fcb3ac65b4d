//! Does any JSON that a model may send as arguments make a tool's shape panic, or pass unbounded?
#![no_main]

use bartizan_gate::tool::Catalogue;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::builtin().expect("the built-in tools are sound"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(arguments) = serde_json::from_slice::<Value>(bytes) else { return };
    for tool in CATALOGUE.iter() {
        let Ok(checked) = tool.shape().check(&arguments) else { continue };
        let given = arguments.as_object().expect("a shape's root is an object");
        let shown = format!("{checked:?}");
        // What passes is known by name, and its values are not in what a log could print.
        assert!(shown.len() <= 64 + given.keys().map(|name| 2 * name.len() + 8).sum::<usize>());
    }
});
