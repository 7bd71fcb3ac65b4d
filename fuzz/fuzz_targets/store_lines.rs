//! Does any export make the verifier panic, or read more records than it has lines?
#![no_main]

use bartizan_store::verify::{self, Trust};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fuzz_target!(|input: &[u8]| {
    for (key, from) in [(None, None), (KEY.parse().ok(), None), (KEY.parse().ok(), Some(7))] {
        let trust = Trust { key, anchors: Vec::new(), from };
        let report = verify::lines(input, &trust).expect("reading memory does not fail");
        let lines = input.iter().filter(|byte| **byte == b'\n').count();
        assert!(report.records <= report.completeness.begins.saturating_add(lines as u64));
        assert_eq!(report.completeness.checkpoints, 0, "nobody has the private key");
    }
});
