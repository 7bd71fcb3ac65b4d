//! Has every host and path that the gate takes one spelling, which reads back as itself?
#![no_main]

use bartizan_gate::name::{CanonicalPath, Host, HostPort};
use libfuzzer_sys::fuzz_target;
use std::path::{Component, Path};

fuzz_target!(|text: &str| {
    if let Ok(host) = Host::parse(text) {
        let spelled = host.to_string();
        assert_eq!(Host::parse(&spelled).as_ref(), Ok(&host));
        assert!(spelled.bytes().all(|b| b.is_ascii_graphic() && !b"@%/\\#?".contains(&b)));
    }
    if let Ok(target) = HostPort::parse(text) {
        assert_eq!(HostPort::parse(&target.to_string()).as_ref(), Ok(&target));
    }
    let base = CanonicalPath::absolute(Path::new("/home/anna/project")).expect("absolute");
    if let Ok(path) = CanonicalPath::resolve(text, &base, Path::new("/home/anna")) {
        let plain = |c| matches!(c, Component::RootDir | Component::Normal(_));
        assert!(path.as_path().components().all(plain));
        assert_eq!(CanonicalPath::absolute(path.as_path()), Some(path.clone()));
        if let Some(below) = path.below(&base) {
            assert!(!below.split('/').any(|part| part == ".."));
        }
    }
});
