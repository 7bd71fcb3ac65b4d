//! Has every path of a request one reading, which reads back as itself and climbs nowhere?
#![no_main]

use bartizan_gate::url_path::UrlPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(path) = UrlPath::parse(text) else { return };
    assert_eq!(UrlPath::parse(path.sent()).as_ref(), Ok(&path));
    let judged = UrlPath::parse(path.judged()).expect("the judged form is canonical");
    assert_eq!(judged.judged(), path.judged());
    assert!(!path.judged().split('/').any(|part| matches!(part, "." | "..")));
    assert!(path.judged().bytes().all(|b| b.is_ascii_graphic() && !b"\\;#?".contains(&b)));
});
