//! What holds for every text, however hostile, and however it is cut?
#![expect(clippy::indexing_slicing, clippy::string_slice, reason = "a test may panic")]

use bartizan_scan::{
    Class, Form, Frames, Mode, Redactor, Sanitiser, ScanKey, Treatment, Trust, display_line,
    sanitise,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::sync::LazyLock;

mod fakes;

/// Texts made of what the redactor looks for: whole secrets, their halves, labels, markers, and noise, with and
/// without anything between them.
fn hostile_text() -> impl Strategy<Value = String> {
    let mut pieces: Vec<String> =
        fakes::vendor_shapes().into_iter().map(|(_, secret)| secret).collect();
    let halves: Vec<String> = pieces
        .iter()
        .flat_map(|s| [s[..s.len() / 2].to_owned(), s[s.len() / 2..].to_owned()])
        .collect();
    pieces.extend(halves);
    pieces.extend(fakes::harmless().into_iter().filter(|text| text.len() < 300));
    pieces.extend(fakes::encodings(VALUE).into_iter().map(|(_, text)| text));
    pieces.extend(fakes::encodings("abababab").into_iter().map(|(_, text)| text));
    pieces.extend(
        [
            "-----BEGIN PRIVATE KEY-----\n",
            "-----END PRIVATE KEY-----",
            "-----BEGIN ",
            "-----",
            "://",
            "a:b@c",
            "eyJ",
            "Authorization: Bearer ",
            "bearer ",
            "[REDACTED:",
            "[REDACTED:jwt:12ab]",
            "]",
            ":",
            "sk-",
            "sk-ant-",
            "ab",
            "abab",
            "password=",
            "\n",
            " ",
            "_",
            "-",
            ".",
            "\"",
            "é",
            "\u{202e}",
            "\u{1b}[0m",
            "aws_secret_access_key = ",
            "user,password\n",
            "ann,kV9pQ2zLr7Xw\n",
            "| id | token |\n|----|---|\n",
            "| 1 | B4nT6mYc9wQx |\n",
            "insert into t (id, secret) values (1,'",
            "'),\n(2,'",
            "- name: DB_PASSWORD\n  value: ",
            "</key>\n<string>",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n",
            "xoxb-",
            "@",
            "/",
        ]
        .map(String::from),
    );
    let piece = prop_oneof![6 => select(pieces), 1 => "[ -~]{0,20}", 1 => ".{0,8}"];
    prop::collection::vec(piece, 0..12).prop_map(|parts| parts.concat())
}

fn redactor() -> Redactor {
    static BUILT: LazyLock<Redactor> = LazyLock::new(|| {
        fakes::redactor(&[
            ("first", VALUE),
            ("second", "abababab"),
            ("third", "horse-battery-staple"),
        ])
    });
    BUILT.clone()
}

fn streamed(
    redactor: &Redactor,
    text: &[u8],
    cuts: &[usize],
) -> (Vec<u8>, Vec<bartizan_scan::Finding>) {
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    let mut from = 0;
    for &cut in cuts {
        stream.push(&text[from..cut], &mut out);
        from = cut;
    }
    stream.push(&text[from..], &mut out);
    let findings = stream.finish(&mut out);
    (out, findings)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn cutting_a_stream_never_changes_what_comes_out(
        text in hostile_text(),
        cuts in prop::collection::vec(any::<Index>(), 0..8),
        size in 1_usize..70,
    ) {
        let redactor = redactor();
        let bytes = text.as_bytes();
        let whole = redactor.redact_bytes(bytes);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&streamed(&redactor, bytes, &cuts), &whole);
        let regular: Vec<usize> = (0..bytes.len()).step_by(size).collect();
        prop_assert_eq!(&streamed(&redactor, bytes, &regular), &whole);
        let single: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&streamed(&redactor, bytes, &single), &whole);
    }

    #[test]
    fn redaction_is_idempotent(text in hostile_text()) {
        let redactor = redactor();
        let once = redactor.redact(&text).text;
        let twice = redactor.redact(&once);
        prop_assert_eq!(&twice.text, &once, "{:?}", twice.findings);
    }

    #[test]
    fn findings_lie_in_the_input_in_order_and_apart_and_the_rest_is_untouched(text in hostile_text()) {
        let redacted = redactor().redact(&text);
        let mut rest = redacted.text.as_str();
        let mut at = 0;
        for finding in &redacted.findings {
            prop_assert!(finding.span.start >= at && finding.span.end <= text.len() && !finding.span.is_empty());
            let plain = &text[at..finding.span.start];
            prop_assert!(rest.starts_with(plain), "{:?}", redacted);
            rest = &rest[plain.len()..];
            let label = format!("[REDACTED:{}:", finding.kind);
            prop_assert!(rest.starts_with(&label), "{} in {:?}", label, rest);
            rest = &rest[label.len() + 5..];
            at = finding.span.end;
        }
        prop_assert_eq!(rest, &text[at..]);
    }

    #[test]
    fn no_known_value_survives_in_any_listed_encoding(
        value in "[!-~é✓ ]{7,40}[!-~]",
        before in hostile_text(),
        after in hostile_text(),
    ) {
        let Ok(redactor) = Redactor::new(ScanKey::new([3; 32]), [fakes::known("n", &value)]) else { return Ok(()) };
        let value = value.trim();
        for (name, text) in fakes::encodings(value) {
            // The digits at either end of base64 that also hold a neighbour's bits say less than a byte.
            let core = if name.starts_with("base64") { text[2..text.len() - 4].to_owned() } else { text.clone() };
            let out = redactor.redact(&format!("{before}{text}{after}")).text;
            prop_assert!(!out.contains(&core) || before.contains(&core) || after.contains(&core) || name == "json in json", "{}: {}", name, out);
        }
    }

    #[test]
    fn sanitising_is_idempotent_and_leaves_nothing_invisible(text in any::<String>(), extra in "[\u{200b}-\u{206f}\u{0}-\u{1f}\u{80}-\u{9f}a\u{fe0f}]{0,12}") {
        for mode in [Mode::Agent, Mode::Person] {
            let text = format!("{text}{extra}");
            let (clean, findings) = sanitise(&text, mode);
            prop_assert_eq!(findings.is_empty(), clean == text);
            prop_assert_eq!(&*sanitise(&clean, mode).0, &*clean);
            let bad = clean.replace("\r\n", "\n").chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
            prop_assert_eq!(bad, None);
        }
        let person = sanitise(&extra, Mode::Person).0.into_owned();
        let invisible = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
        prop_assert!(!person.contains(invisible));
    }

    #[test]
    fn every_treatment_is_idempotent_and_leaves_nothing_unseen(
        text in prop_oneof![any::<String>(), "(<!--|-->|<p hidden>|<p>|</p>|<|!|-|hid|den|>|\u{200b}|\u{1b}|\\[|\\]|m|\u{7}|p\u{430}y| |/){0,24}"],
        choice in proptest::collection::vec(0_usize..2, Class::ALL.len()),
    ) {
        let treatments = [Treatment::Remove, Treatment::Show];
        let sanitiser = Class::ALL.into_iter().zip(choice).try_fold(Sanitiser::default(), |all, (class, at)| {
            all.with(class, treatments[at])
        }).unwrap();
        let clean = sanitiser.clean(&text).text.into_owned();
        prop_assert_eq!(&*sanitiser.clean(&clean).text, &*clean);
        prop_assert!(!clean.contains("<!--"), "{}", clean);
        prop_assert_eq!(&*sanitise(&clean, Mode::Agent).0, &*clean);
    }

    #[test]
    fn a_displayed_line_is_one_line_of_bounded_length(text in any::<String>(), max in 0_usize..60) {
        let line = display_line(&text, max);
        prop_assert!(line.chars().count() <= max);
        prop_assert!(!line.chars().any(char::is_control));
    }

    #[test]
    fn frames_round_trip_and_are_never_doubled(
        content in prop_oneof![any::<String>(), hostile_text(), "(<|/|\\\\| |bartizan|:content|id=\"|\"|>|\n){0,12}"],
        source in any::<String>(),
    ) {
        for form in Form::ALL {
            let frame = Frames::new(ScanKey::new([5; 32]), form).of("call");
            let framed = frame.wrap(&source, Trust::Untrusted, &content);
            prop_assert_eq!(frame.open(&framed), Some(content.clone()));
            prop_assert_eq!(frame.wrap(&source, Trust::Untrusted, &framed), framed.clone());
            let (opens, closes) = match form {
                Form::Structured => ("{\"bartizan:content\":{", "\"end\":\""),
                _ => ("<bartizan:", "</bartizan:"),
            };
            prop_assert_eq!(framed.matches(opens).count(), 1);
            prop_assert_eq!(framed.matches(closes).count(), 1);
        }
    }
}

/// `PROPTEST_CASES` asks for more on a patient machine.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(128)
}

const VALUE: &str = "correct-horse-battery/+&";
