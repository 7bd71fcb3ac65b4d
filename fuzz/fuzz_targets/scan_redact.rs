//! Does any input, cut in any way, make redaction panic, differ, repeat itself or let a known value through?
#![no_main]

use bartizan_scan::{Form, Frames, KnownSecret, Mode, Redactor, ScanKey, Trust, sanitise};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let known = ["abababab", "correct-horse", "horse-battery/+"].map(|value| KnownSecret {
        name: format!("k{}", value.len()),
        value: value.to_owned().into(),
    });
    Redactor::new(ScanKey::new([1; 32]), known).expect("the secrets are usable")
});

fuzz_target!(|input: &[u8]| {
    let Some((&size, bytes)) = input.split_first() else { return };
    let (whole, findings) = REDACTOR.redact_bytes(bytes);

    let mut out = Vec::new();
    let mut stream = REDACTOR.stream();
    for chunk in bytes.chunks(usize::from(size).max(1)) {
        stream.push(chunk, &mut out);
    }
    assert_eq!(stream.finish(&mut out), findings);
    assert_eq!(out, whole);

    assert!(findings.iter().all(|f| f.span.end <= bytes.len()));
    assert_eq!(REDACTOR.redact_bytes(&whole).0, whole);
    assert!(!whole.windows(8).any(|w| w == b"abababab"));

    if let Ok(text) = std::str::from_utf8(bytes) {
        let (clean, _) = sanitise(text, Mode::Agent);
        assert_eq!(sanitise(&clean, Mode::Agent).0, clean);
        for form in Form::ALL {
            let frame = Frames::new(ScanKey::new([2; 32]), form).of("call");
            let framed = frame.wrap(text, Trust::Untrusted, text);
            assert_eq!(frame.open(&framed).as_deref(), Some(text));
        }
    }
});
