//! What does a redactor hide, and what does it leave alone?
#![expect(clippy::string_slice, reason = "a test may panic")]

use bartizan_scan::{Confidence, Redactor, ScanError, ScanKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::BTreeSet;

mod fakes;
mod unseen;
use fakes::{known, redactor};

#[test]
fn every_vendor_shape_is_hidden_whole() {
    let redactor = redactor(&[]);
    for (kind, secret) in fakes::vendor_shapes() {
        for (before, after) in
            [("", ""), ("key=", "\n"), ("{\"k\":\"", "\"}"), ("(", "), next"), ("token: '", "'")]
        {
            let text = format!("{before}{secret}{after}");
            let redacted = redactor.redact(&text);
            assert!(!redacted.text.contains(&secret), "{kind}: {}", redacted.text);
            assert_eq!(redacted.findings.len(), 1, "{kind} in {before:?}: {:?}", redacted.findings);
            assert_eq!(redacted.findings[0].kind.as_str(), kind);
            assert_eq!(
                redacted.findings[0].span,
                before.len()..before.len() + secret.len(),
                "{kind}"
            );
            assert!(
                redacted.text.starts_with(&format!("{before}[REDACTED:{kind}:")),
                "{}",
                redacted.text
            );
            assert!(redacted.text.ends_with(after));
        }
    }
}

#[test]
fn secrets_that_only_their_place_gives_away_are_hidden() {
    let redactor = redactor(&[]);
    let opaque = format!("{}{}", "kV9pQ2zLr7XwB4nT", "6mYcH1sD8fGj3aZe5");
    let forty = format!("{}{}", "kV9pQ2zLr7XwB4nT6mYc", "H1sD8fGj3aZe5uR0iK+o");
    for text in [
        format!("Authorization: Bearer {opaque}"),
        format!("{{\"Authorization\": \"Basic {opaque}==\"}}"),
        format!("> authorization: token {opaque}\r\n"),
        format!("curl -H 'X-Api-Key: {opaque}' https://example.com"),
        format!("postgres://app:{opaque}@db.internal:5432/app"),
        format!("AWS_SECRET_ACCESS_KEY={forty}"),
        format!("aws_secret_access_key = {forty}\n"),
        format!("\"SecretAccessKey\": \"{forty}\","),
        format!("<SecretAccessKey>{forty}</SecretAccessKey>"),
        format!("{{\\\"Authorization\\\":\\\"Bearer {opaque}\\\"}}"),
    ] {
        let redacted = redactor.redact(&text);
        assert_eq!(redacted.findings.len(), 1, "{text} -> {}", redacted.text);
        assert!(
            !redacted.text.contains(&opaque) && !redacted.text.contains(&forty),
            "{}",
            redacted.text
        );
    }
}

#[test]
fn a_value_that_stands_apart_from_its_name_is_hidden() {
    let redactor = redactor(&[]);
    let value = format!("{}{}", "kV9pQ2zLr7Xw", "B4nT6mYc");
    let packed = STANDARD.encode(format!("password={value}"));
    for text in [
        format!("- name: DB_PASSWORD\n  value: {value}\n"),
        format!("{{\n  \"name\": \"DB_PASSWORD\",\n  \"value\": \"{value}\"\n}}"),
        format!("<key>AuthToken</key>\n<string>{value}</string>\n"),
        format!("<name>fs.s3a.secret.key</name><value>{value}</value>"),
        format!("\"db_password\": {{\"type\": \"string\", \"value\": \"{value}\"}}"),
        format!("variable \"api_secret\" {{\n  default = \"{value}\"\n}}\n"),
        format!("let token = String::from(\"{value}\");"),
        format!("CREATE LOGIN etl WITH PASSWORD = N'{value}'"),
        format!("ALTER USER 'r'@'localhost' IDENTIFIED BY '{value}';"),
        format!("ConvertTo-SecureString \"{value}\" -AsPlainText -Force"),
        format!("net user svc-x {value} /add"),
        format!("snmp-server community {value} RO"),
        format!("echo {value} | sudo -S reboot"),
        format!("smbclient //nas/share -U 'ann%{value}'"),
        format!("Le mot de passe est {value}"),
        format!("密码：{value}"),
        format!("bind_pw: {value}"),
        format!("data={packed}"),
    ] {
        let shown = redactor.redact(&text).text;
        assert!(!shown.contains(&value) && !shown.contains(&packed), "{text} -> {shown}");
    }
}

#[test]
fn cells_of_tables_are_hidden_however_the_table_is_cut() {
    let redactor = redactor(&[]);
    let [a, b] = ["kV9pQ2zLr7Xw", "B4nT6mYc9wQx"];
    for text in [
        format!("user,password\nann,{a}\nbob,{b}\n"),
        format!(" id | token \n----+-------\n  1 | {a}\n  2 | {b}\n"),
        format!("INSERT INTO t (id, secret) VALUES (1,'{a}'),\n(2,'{b}');\n"),
        format!("COPY t (id, api_key) FROM stdin;\n4\t{a}\n5\t{b}\n\\.\n"),
    ] {
        let whole = redactor.redact(&text).text;
        assert!(!whole.contains(a) && !whole.contains(b), "{whole}");
        assert_eq!(redactor.redact(&whole).text, whole);
        for size in 1..9 {
            let (mut stream, mut out) = (redactor.stream(), Vec::new());
            for chunk in text.as_bytes().chunks(size) {
                stream.push(chunk, &mut out);
            }
            assert_eq!(stream.finish(&mut out).len(), 2);
            assert_eq!(out, whole.as_bytes());
        }
    }
}

#[test]
fn a_value_learnt_in_mid_table_leaves_the_table_known() {
    let redactor = redactor(&[]);
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    stream.push(b"user,password\nann,kV9pQ2zLr7Xw\nbob", &mut out);
    redactor.learn(known("late", "something-else-4711")).unwrap();
    stream.push(b",B4nT6mYc9wQx\n", &mut out);
    assert_eq!(stream.finish(&mut out).len(), 2);
    assert!(!out.windows(6).any(|w| w == b"B4nT6m"));
}

#[test]
fn a_secret_in_a_zip_file_in_base64_is_hidden_with_the_file() {
    let body = miniz_oxide::deflate::compress_to_vec(b"DB_PASSWORD=kV9pQ2zLr7Xw and an end\n", 6);
    let head = [b"PK\x03\x04\x14\0\0\0\x08\0".as_slice(), &[0; 16], &[1, 0, 0, 0, b'n']].concat();
    let code = STANDARD.encode([head, body].concat());
    let shown = redactor(&[]).redact(&format!("body: {code} end\n")).text;
    assert!(!shown.contains(&code[8..]) && shown.ends_with("] end\n"), "{shown}");
}

#[test]
fn what_only_looks_like_a_secret_is_left_alone() {
    let redactor = redactor(&[]);
    for text in fakes::harmless() {
        let redacted = redactor.redact(&text);
        assert_eq!(redacted.text, text, "{:?}", redacted.findings);
        assert_eq!(redacted.note(), None);
    }
}

#[test]
fn a_checksum_that_holds_makes_a_finding_certain() {
    let redactor = redactor(&[]);
    let token = fakes::github_token();
    assert_eq!(redactor.redact(&token).findings[0].confidence, Confidence::Certain);
    let broken =
        format!("{}{}", &token[..token.len() - 1], if token.ends_with('a') { 'b' } else { 'a' });
    assert_eq!(redactor.redact(&broken).findings[0].confidence, Confidence::High);
}

#[test]
fn a_private_key_is_hidden_with_its_body_even_when_its_end_is_missing() {
    let redactor = redactor(&[]);
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nVJTUt9Us8cKjMzEfYyjiWA4R4ypbHqG3Jqv5Qzv7\n";
    let head = format!("-----BEGIN {} KEY-----", "RSA PRIVATE");
    let tail = format!("-----END {} KEY-----", "RSA PRIVATE");
    let whole = format!("before\n{head}\n{body}{tail}\nafter");
    let redacted = redactor.redact(&whole).text;
    assert!(
        redacted.starts_with("before\n[REDACTED:private-key:") && redacted.ends_with("]\nafter"),
        "{redacted}"
    );
    let escaped = format!("{{\"key\": \"{}\"}}", whole.replace('\n', "\\n"));
    assert!(!redactor.redact(&escaped).text.contains("MIIE"));
    let cut = redactor.redact(&format!("{head}\n{body}")).text;
    assert!(!cut.contains("MIIE") && !cut.contains("VJTU"), "{cut}");
    let encrypted =
        format!("{head}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n{body}{tail}");
    assert!(!redactor.redact(&encrypted).text.contains("MIIE"));
}

#[test]
fn a_label_behind_an_escape_is_still_a_label() {
    let redactor = redactor(&[("second", "abababab")]);
    let key = format!("sk-ant-{}-{}AA", "api03", "Zm6oMRU5WVfXyrocgXA7DxOs".repeat(4));
    let before =
        "grep -r -- '-----BEGIN RSA PRIVATE KEY-----' .dWFiYWJhYmFieg==\u{feff}\t\u{a1}\u{1b}";
    let once = redactor.redact(&format!("{before}{key}")).text;
    assert!(once.contains("\u{1b}[REDACTED:anthropic-key:"), "{once}");
    assert_eq!(redactor.redact(&once).text, once);
}

#[test]
fn a_secret_longer_than_any_window_is_swallowed_whole() {
    let redactor = redactor(&[]);
    let long = "Ab3dE6gH".repeat(8000);
    let text = format!("a sk-ant-{}-{long} b", "api03");
    let redacted = redactor.redact(&text);
    assert!(
        redacted.text.starts_with("a [REDACTED:anthropic-key:") && redacted.text.ends_with("] b")
    );
    assert_eq!(redacted.findings.len(), 1);
    let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJ{long}.{long} b");
    assert!(redactor.redact(&jwt).text.ends_with("] b"));
}

#[test]
fn a_known_value_is_hidden_in_every_listed_encoding() {
    let value = "p@ss/w\"ört+<3>&'k~!";
    let redactor = redactor(&[("db password", value)]);
    for (name, text) in fakes::encodings(value) {
        let redacted = redactor.redact(&format!("x {text} y"));
        assert!(redacted.text.contains("[REDACTED:db-password:"), "{name}: {}", redacted.text);
        assert!(redacted.text.starts_with("x ") && redacted.text.ends_with(" y"), "{name}");
        assert_eq!(redacted.findings[0].confidence, Confidence::Certain);
    }
}

#[test]
fn the_same_value_has_the_same_label_in_every_encoding() {
    let value = "correct-horse-battery";
    let redactor = redactor(&[("k", value)]);
    let label = |text: &str| text.find('[').map(|at| text[at..at + 17].to_owned());
    let labels: BTreeSet<_> = fakes::encodings(value)
        .iter()
        .map(|(_, text)| label(&redactor.redact(text).text))
        .collect();
    assert_eq!(labels.len(), 1, "{labels:?}");
}

#[test]
fn overlapping_known_values_leave_nothing_of_either() {
    let redactor =
        redactor(&[("one", "abcdefghij"), ("two", "ghijklmnop"), ("three", "zzabcdefghijkl99")]);
    let out = redactor.redact("..abcdefghijklmnop..").text;
    assert!(out.starts_with("..[REDACTED:one:") && out.ends_with("].."), "{out}");
    assert_eq!(out.matches('[').count(), 1);
    let out = redactor.redact("zzabcdefghijkl99").text;
    assert!(out.starts_with("[REDACTED:three:"), "{out}");
}

#[test]
fn a_known_value_inside_a_shape_does_not_break_the_shape() {
    let redactor = redactor(&[("mine", "kV9pQ2zLr7XwB4nT")]);
    let redacted = redactor.redact("x postgres://u:abckV9pQ2zLr7XwB4nTdef@db/app y");
    assert_eq!(redacted.findings.len(), 1, "{}", redacted.text);
    assert_eq!(redacted.findings[0].span, 15..37);
    assert!(
        redacted.text.starts_with("x postgres://u:[REDACTED:url-password:"),
        "{}",
        redacted.text
    );
    assert!(redacted.text.ends_with("]@db/app y"));
}

#[test]
fn a_user_name_that_is_a_secret_is_hidden_beside_its_password() {
    let redactor = redactor(&[]);
    let token = fakes::github_token();
    let redacted = redactor.redact(&format!("https://{token}:s3cr3t-9f@host/"));
    let kinds: Vec<_> = redacted.findings.iter().map(|f| f.kind.as_str()).collect();
    assert_eq!(kinds, ["github-token", "url-password"]);
    assert_eq!(redactor.redact(&redacted.text).text, redacted.text);
}

#[test]
fn a_label_in_a_url_is_never_split() {
    let redactor = redactor(&[("mine", "correct-horse-battery")]);
    let text = format!(
        "://correct-horse-battery@sk-{}-api03-{}",
        "ant",
        fakes::noise(1, 40, fakes::ALNUM)
    );
    let redacted = redactor.redact(&text).text;
    assert!(
        redacted.starts_with("://[REDACTED:mine:")
            && redacted.contains("]@[REDACTED:anthropic-key:"),
        "{redacted}"
    );
}

#[test]
fn a_value_that_cannot_be_hidden_safely_is_refused_without_being_shown() {
    let key_like =
        format!("sk-{}-{}", "proj", fakes::noise(30, 32, b"abcdefghijklmnopqrstuvwxyz0123456789"));
    let try_one = |name: &str, value: &str| {
        Redactor::new(ScanKey::new([1; 32]), [known(name, value)]).map(drop)
    };
    assert!(matches!(try_one("a", "1234567"), Err(ScanError::TooShort { .. })));
    assert!(matches!(try_one("a", "  1234567\n"), Err(ScanError::TooShort { .. })));
    assert!(matches!(try_one("a", "aaaaaaaaaaaa"), Err(ScanError::Repetitive { .. })));
    assert!(matches!(try_one("a", "PassWord"), Err(ScanError::TooCommon { .. })));
    assert!(matches!(try_one("a", "REDACTED:"), Err(ScanError::TooCommon { .. })));
    assert!(matches!(try_one("a", "anthropic-key"), Err(ScanError::TooCommon { .. })));
    assert!(matches!(
        try_one("my hunter22 key", "hunter22"),
        Err(ScanError::NameHoldsValue { .. })
    ));
    assert!(matches!(try_one(&key_like, "hunter22-x"), Err(ScanError::NameHoldsValue { .. })));
    assert!(matches!(try_one("a", &"x1".repeat(20_000)), Err(ScanError::TooLong { .. })));
    let value = "q7-z!";
    for error in [try_one("name q7-z! here", value), try_one("q7-z!", value)] {
        let shown = format!(
            "{error:?} {}",
            error.as_ref().err().map(ToString::to_string).unwrap_or_default()
        );
        assert!(!shown.contains(value), "{shown}");
    }
}

#[test]
fn nothing_that_debugs_shows_a_value() {
    let value = "very-secret-9f8e7d";
    let redactor = redactor(&[("name", value)]);
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    stream.push(b"very-secret-9f8", &mut out);
    let shown = format!("{redactor:?} {:?} {:?}", known("name", value), redactor.redact(value));
    assert!(!shown.contains("very-secret"), "{shown}");
}

#[test]
fn json_is_redacted_in_strings_keys_and_numbers() {
    let redactor = redactor(&[("pin", "4815162342"), ("key", "abc\"def\"ghi")]);
    let mut value = json!({
        "list": ["abc\"def\"ghi", {"abc\"def\"ghi": 1, "plain": true}],
        "number": 4_815_162_342_u64,
        "deep": "{\"inner\":\"abc\\\"def\\\"ghi\"}",
        "safe": 7,
    });
    let findings = redactor.redact_json(&mut value);
    let text = value.to_string();
    assert!(!text.contains("4815162342") && !text.contains("def"), "{text}");
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert_eq!(value["safe"], 7);
    let before = value.clone();
    assert!(redactor.redact_json(&mut value).is_empty());
    assert_eq!(value, before);
}

#[test]
fn json_nested_without_end_is_withheld() {
    let redactor = redactor(&[]);
    let mut value = json!("leaf");
    for _ in 0..200 {
        value = json!([value]);
    }
    redactor.redact_json(&mut value);
    let text = value.to_string();
    assert!(text.contains("[REDACTED:too-deep:") && !text.contains("leaf"), "{text}");
}

#[test]
fn the_note_tells_the_agent_how_many_values_are_hidden() {
    let redactor = redactor(&[("k", "0123-4567-89")]);
    let redacted = redactor.redact("0123-4567-89 0123-4567-89");
    assert!(redacted.note().is_some_and(|n| n.starts_with("[2 secret values were hidden")));
}

#[test]
fn a_stream_never_lets_the_beginning_of_a_secret_go() {
    let token = fakes::github_token();
    let redactor = redactor(&[("mine", "correct-horse-battery")]);
    for secret in [token.as_str(), "correct-horse-battery"] {
        let mut stream = redactor.stream();
        let mut out = Vec::new();
        stream.push(b"text ", &mut out);
        for byte in secret.bytes() {
            stream.push(&[byte], &mut out);
            assert_eq!(out, b"text ", "after {}", secret.len());
        }
        stream.push(b" more", &mut out);
        let findings = stream.finish(&mut out);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].span, 5..5 + secret.len());
    }
}

#[test]
fn the_first_byte_of_a_stream_is_delayed_by_less_than_one_chunk() {
    let redactor = redactor(&[("first", "kV9pQ2zLr7Xw-B4nT6mYc")]);
    let hash = fakes::noise(31, 40, b"0123456789abcdef");
    let line = |n: usize| match n % 6 {
        0 => format!("2026-11-21T09:15:{n:02} INFO request id={hash} status=200\n"),
        1 => format!("    pub fn handle_{n}(&self, request: &Request) -> Result<(), Error> {{\n"),
        2 => format!("{{\"id\":{n},\"token_count\":17,\"url\":\"https://example.org/{hash}\"}}\n"),
        3 => "A person is asked before anything is published, whoever wrote it.\n".into(),
        4 => format!("checksum = \"{hash}{hash}\"\n"),
        _ => format!("-rw-r--r-- 1 user user {n} Nov 21 09:15 src/module_{n}.rs\n"),
    };
    let text: String = (0..600).map(line).collect();
    for size in [512, 1024, 4096, 16 * 1024] {
        let (mut stream, mut out, mut come) = (redactor.stream(), Vec::new(), 0);
        for chunk in text.as_bytes().chunks(size) {
            stream.push(chunk, &mut out);
            come += chunk.len();
            assert!(!out.is_empty() && stream.held() < size, "{} held of {come}", stream.held());
            assert_eq!(out.len() + stream.held(), come);
        }
        assert_eq!(stream.finish(&mut out), []);
    }
}

#[test]
fn ordinary_text_is_not_held_back() {
    let redactor = redactor(&[("mine", "correct-horse-battery")]);
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    stream.push(b"hello, world\n", &mut out);
    assert_eq!(out, b"hello, world\n");
    assert_eq!(stream.held(), 0);
}

#[test]
fn an_endless_candidate_does_not_grow_memory() {
    let redactor = redactor(&[("odd", "abababab")]);
    for piece in
        ["ab".repeat(5000), "A".repeat(10_000), "-----BEGIN ".repeat(1000), "eyJ.".repeat(2500)]
    {
        let mut stream = redactor.stream();
        let mut out = Vec::new();
        stream.push(b" sk-ant-api03-", &mut out);
        for _ in 0..40 {
            stream.push(piece.as_bytes(), &mut out);
            assert!(stream.held() <= bartizan_scan::RedactStream::MAX_HELD_BYTES);
        }
        let held = stream.held();
        let length = out.len();
        let _findings = stream.finish(&mut out);
        assert!(out.len() <= length + held + 64);
        assert!(!String::from_utf8_lossy(&out).contains("ababab"));
    }
}

#[test]
fn what_is_learnt_later_is_hidden_by_every_clone() {
    let redactor = redactor(&[]);
    let (clone, mut early) = (redactor.clone(), redactor.stream());
    let value = "kestrel-Umber-42-quarry";
    assert_eq!(clone.redact(value).text, value);
    redactor.learn(known("plain", value)).unwrap();
    assert!(clone.redact(value).text.starts_with("[REDACTED:plain:"));
    assert!(clone.redact("yrrauq-24-rebmU-lertsek").text.starts_with("[REDACTED:plain:"));
    let mut out = Vec::new();
    early.push(value.as_bytes(), &mut out);
    assert_eq!(early.finish(&mut out).len(), 1);
    assert!(out.starts_with(b"[REDACTED:plain:"), "{}", String::from_utf8_lossy(&out));
    // A renewed value is hidden beside the old one, which is still good for a while.
    redactor.learn(known("plain", "second-Value-77-lantern")).unwrap();
    let both = clone.redact(&format!("{value} second-Value-77-lantern")).text;
    assert_eq!(both.matches("[REDACTED:plain:").count(), 2, "{both}");
}

/// Whatever an open stream holds back when a value is learnt, the value does not come out of it, and nothing comes out
/// twice.
#[test]
fn a_value_learnt_in_mid_stream_is_hidden_in_what_is_held_back() {
    let value = "kestrel-Umber-42-quarry";
    for before in [
        "",
        "plain words of a line ",
        "a = \n",
        "data: x\n",
        "token:\n",
        "one, two: \"q8-",
        "Zx81kQ99\\\n",
    ] {
        for at in 0..=value.len() {
            let redactor = redactor(&[("old", "lantern-Ochre-19-harbour")]);
            let (mut stream, mut out) = (redactor.stream(), Vec::new());
            let (front, back) = value.split_at(at);
            stream.push(before.as_bytes(), &mut out);
            stream.push(front.as_bytes(), &mut out);
            redactor.learn(known("new", value)).unwrap();
            stream.push(back.as_bytes(), &mut out);
            stream.push(b" and lantern-Ochre-19-harbour\nend\n", &mut out);
            let _findings = stream.finish(&mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains("Umber") && !text.contains("Ochre"), "{before:?} {at}: {text}");
            assert!(
                text.starts_with(before) && text.ends_with("\nend\n"),
                "{before:?} {at}: {text}"
            );
            assert_eq!(text.matches("[REDACTED:").count(), 2, "{before:?} {at}: {text}");
        }
    }
}

#[test]
fn a_long_line_of_words_comes_out_once() {
    let redactor = redactor(&[("old", "lantern-Ochre-19-harbour")]);
    let line = "some plain words ".repeat(10_000);
    for size in [7, 1000, 40_000] {
        let (mut stream, mut out) = (redactor.stream(), Vec::new());
        for piece in line.as_bytes().chunks(size) {
            stream.push(piece, &mut out);
        }
        let _findings = stream.finish(&mut out);
        assert!(out == line.as_bytes(), "{} of {}", out.len(), line.len());
    }
}

#[test]
fn what_cannot_be_hidden_is_not_learnt_and_nothing_is_forgotten() {
    let redactor = redactor(&[("one", "kestrel-Umber-42-quarry")]);
    assert!(matches!(redactor.learn(known("two", "short")), Err(ScanError::TooShort { .. })));
    assert!(matches!(
        redactor.learn(known("two", "aaaaaaaaaaaa")),
        Err(ScanError::Repetitive { .. })
    ));
    assert!(redactor.redact("kestrel-Umber-42-quarry").text.starts_with("[REDACTED:one:"));
    assert_eq!(redactor.redact("short").text, "short");
    redactor.learn(known("three", "lantern-Ochre-19-harbour")).unwrap();
    assert!(redactor.redact("lantern-Ochre-19-harbour").text.starts_with("[REDACTED:three:"));
}

#[test]
fn a_value_that_holds_an_escape_is_found_in_html() {
    for value in ["aaAa'a%0AAb", "it's\"a%2Fb<c>&amp;d"] {
        let redactor = redactor(&[("n", value)]);
        let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        for (single, double) in
            [("&#39;", "&quot;"), ("&#39;", "&#34;"), ("&#x27;", "&quot;"), ("&apos;", "&quot;")]
        {
            let text = html.replace('"', double).replace('\'', single);
            let redacted = redactor.redact(&format!("<p>{text}</p>")).text;
            assert!(redacted.contains("[REDACTED:n:") && !redacted.contains("%2"), "{redacted}");
            assert!(!redacted.contains(&text), "{redacted}");
        }
    }
}

#[test]
fn a_value_of_few_letters_is_found_in_a_url_whatever_stands_before_it() {
    // As encodeURIComponent and as Python's quote write it.
    let redactor = redactor(&[("n", "20✓0'0aa")]);
    for text in ["20%E2%9C%930'0aa", "20%E2%9C%930%270aa"] {
        let redacted = redactor.redact(&format!("dWFiYWJhYmFieg=={text}")).text;
        assert!(!redacted.contains(text), "{redacted}");
    }
}

#[test]
fn bytes_on_their_way_to_a_program_lose_the_known_values_and_nothing_else() {
    let known = known("gh", "plum-Orbit-7731-quartz");
    let redactor = Redactor::of_values(ScanKey::new([7; 32]), [known]).unwrap();
    let token = fakes::noise(5, 36, fakes::ALNUM);
    let texts = [
        format!("GET /other?q={}{token}", "ghp_"),
        format!("acme_live_{token}\n"),
        format!("password: {token}\nDB_PASSWORD={token}\n"),
        format!("user,password\nann,{token}\n"),
        format!("Enter the password\n{token}\n"),
        format!("{token} is the token\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{token}\n-----END PRIVATE KEY-----\n"),
        format!("https://ann:{token}@example.com/"),
    ];
    for text in texts {
        assert_eq!(redactor.redact(&text).text, text);
        let mixed = redactor.redact(&format!("{text} plum-Orbit-7731-quartz")).text;
        assert!(mixed.starts_with(&text) && !mixed.contains("quartz"), "{mixed}");
    }
}
