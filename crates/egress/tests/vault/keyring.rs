//! What does the desktop's keyring give, and what when it is locked, absent, silent or lying? A bus of our own.

mod fake;

use bartizan_egress::vault::{Declared, FaultKind};
use bartizan_egress::{SecretError, SecretRef, SecretValue, Vault};
use bartizan_gate::name::SecretName;
use fake::{Body, Fake, Says, found, message, secret, session, unlocked};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

fn item() -> SecretRef {
    SecretRef::parse("keyring://example/anna").unwrap()
}

fn vault(address: &str, declared: impl FnOnce(&mut Declared)) -> Vault {
    let variables = [("DBUS_SESSION_BUS_ADDRESS".to_owned(), OsString::from(address))];
    let mut of = Declared::new(item());
    declared(&mut of);
    Vault::builder().environment(HashMap::from(variables)).declare(name(), of).build()
}

fn reach(fake: &Fake, declared: impl FnOnce(&mut Declared)) -> Vault {
    vault(&format!("unix:path={}", fake.bus().display()), declared)
}

fn name() -> SecretName {
    SecretName::parse("x").unwrap()
}

fn fault<T>(outcome: Result<T, SecretError>) -> (FaultKind, String) {
    match outcome {
        Err(SecretError::BackEnd { fault, .. }) => (fault.kind(), fault.to_string()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a value"),
    }
}

async fn kind(script: impl FnMut(&str) -> Says + Send + 'static) -> FaultKind {
    fault(reach(&Fake::start(script), |_| {}).named(&name()).await).0
}

#[tokio::test]
async fn the_value_of_the_one_item_is_lent() {
    let fake = Fake::start(|member| match member {
        "OpenSession" => session(),
        "SearchItems" => found(&["/i/1"], &[]),
        "GetSecret" => secret(b"v4lue-of-anna"),
        _ => Says::Nothing,
    });
    let value = reach(&fake, |_| {}).named(&name()).await.unwrap();
    assert!(value.danger_expose(|bytes| bytes == b"v4lue-of-anna"));
    assert_eq!(fake.members(), ["Hello", "OpenSession", "SearchItems", "GetSecret"]);
    let calls = fake.calls.lock().unwrap();
    for word in ["service", "example", "username", "anna"] {
        assert!(String::from_utf8_lossy(&calls[2].1).contains(word), "{word}");
    }
}

#[tokio::test]
async fn one_that_is_filed_under_account_is_found_too() {
    let mut asked = 0;
    let fake = Fake::start(move |member| match member {
        "OpenSession" => session(),
        "SearchItems" => {
            asked += 1;
            if asked == 1 { found(&[], &[]) } else { found(&["/i/1"], &[]) }
        }
        _ => secret(b"v4lue-of-anna"),
    });
    assert!(reach(&fake, |_| {}).named(&name()).await.is_ok());
    assert!(String::from_utf8_lossy(&fake.calls.lock().unwrap()[3].1).contains("account"));
}

#[tokio::test]
async fn a_locked_keyring_is_a_refusal_and_no_prompt_is_shown() {
    let fake = Fake::start(|member| match member {
        "OpenSession" => session(),
        "SearchItems" => found(&[], &["/i/1"]),
        "Unlock" => unlocked(&[], "/prompt/1"),
        _ => Says::Nothing,
    });
    let (kind, text) = fault(reach(&fake, |_| {}).named(&name()).await);
    assert_eq!(kind, FaultKind::Sealed);
    assert!(text.contains("unlock it"), "{text}");
    assert_eq!(fake.members().last().unwrap(), "Unlock", "no `Prompt` follows");
}

#[tokio::test]
async fn one_that_opens_without_a_person_is_opened() {
    let fake = Fake::start(|member| match member {
        "OpenSession" => session(),
        "SearchItems" => found(&[], &["/i/1"]),
        "Unlock" => unlocked(&["/i/1"], "/"),
        _ => secret(b"v4lue-of-anna"),
    });
    assert!(reach(&fake, |_| {}).named(&name()).await.is_ok());
}

#[tokio::test]
async fn what_is_not_there_or_there_twice_is_told_apart() {
    let search = |open: &'static [&'static str]| {
        move |member: &str| {
            if member == "OpenSession" { session() } else { found(open, &[]) }
        }
    };
    assert_eq!(kind(search(&[])).await, FaultKind::Missing);
    assert_eq!(kind(search(&["/i/1", "/i/2"])).await, FaultKind::Malformed);
}

#[tokio::test]
async fn errors_of_the_bus_become_reasons_and_say_nothing_it_said() {
    for (name, expected) in [
        ("org.freedesktop.DBus.Error.ServiceUnknown", FaultKind::Down),
        ("org.freedesktop.DBus.Error.AccessDenied", FaultKind::Denied),
        ("org.freedesktop.DBus.Error.NoReply", FaultKind::Slow),
        ("org.freedesktop.Secret.Error.IsLocked", FaultKind::Sealed),
        ("org.freedesktop.Secret.Error.NoSuchObject", FaultKind::Missing),
        ("leak.s3cr3t", FaultKind::Down),
    ] {
        let fake = Fake::start(move |_| Says::Error(name));
        let (kind, text) = fault(reach(&fake, |_| {}).named(&self::name()).await);
        assert_eq!(kind, expected, "{name}");
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[tokio::test]
async fn an_answer_of_another_shape_is_none() {
    for lie in [
        || Says::Answer("s", Body::default().text("v4lue")),
        || Says::Answer("vo", Body(b"\x01s\0\0\xff\xff\xff\xff".to_vec())),
        || Says::Raw(b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0".to_vec()),
        || Says::Raw(vec![b'B'; 64]),
        || Says::Raw(message(4, 0, None, "", &[]).repeat(80)),
    ] {
        assert_eq!(kind(move |_| lie()).await, FaultKind::Malformed);
    }
    // A secret with parameters is one that is encrypted, which was not agreed.
    let sealed = |member: &str| match member {
        "OpenSession" => session(),
        "SearchItems" => found(&["/i/1"], &[]),
        _ => Says::Answer(
            "(oayays)",
            Body::default().text("/s/1").bytes(b"iv").bytes(b"v4lue").text("text/plain"),
        ),
    };
    assert_eq!(kind(sealed).await, FaultKind::Malformed);
}

#[tokio::test]
async fn one_that_does_not_answer_is_not_waited_for() {
    let fake = Fake::start(|_| Says::Nothing);
    let vault = reach(&fake, |declared| declared.timeout = Duration::from_millis(300));
    assert_eq!(fault(vault.named(&name()).await).0, FaultKind::Slow);
}

#[tokio::test]
async fn no_bus_is_a_refusal_and_no_program_is_started_to_have_one() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("started");
    for (address, expected) in [
        (format!("unix:path={}", dir.path().join("none").display()), FaultKind::Down),
        (format!("unixexec:path=/usr/bin/touch,argv1={}", mark.display()), FaultKind::Malformed),
        ("autolaunch:".to_owned(), FaultKind::Malformed),
        ("tcp:host=127.0.0.1,port=1".to_owned(), FaultKind::Malformed),
        (String::new(), FaultKind::Down),
    ] {
        let got = fault(vault(&address, |_| {}).named(&name()).await).0;
        assert_eq!(got, expected, "{address}");
    }
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_bus_that_an_agent_could_have_planted_is_not_asked() {
    let fake = Fake::start(|_| session());
    let workspace = fake.dir.path().canonicalize().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("bus");
    std::os::unix::fs::symlink(workspace.join("bus"), &link).unwrap();
    for path in [workspace.join("bus").as_path(), link.as_path()] {
        let vault = planted(path, &workspace);
        assert_eq!(fault(vault.named(&name()).await).0, FaultKind::Unsafe, "{}", path.display());
    }
    assert_eq!(fake.members(), Vec::<String>::new());
}

fn planted(bus: &Path, workspace: &Path) -> Vault {
    let address = OsString::from(format!("unix:path={}", bus.display()));
    Vault::builder()
        .environment(HashMap::from([("DBUS_SESSION_BUS_ADDRESS".to_owned(), address)]))
        .workspace(workspace.to_path_buf())
        .declare(name(), Declared::new(item()))
        .build()
}

#[tokio::test]
async fn a_value_is_put_replaced_and_removed() {
    let mut there = false;
    let fake = Fake::start(move |member| match member {
        "OpenSession" => session(),
        "SearchItems" => {
            if there {
                found(&["/i/1"], &[])
            } else {
                found(&[], &[])
            }
        }
        "ReadAlias" => Says::Answer("o", Body::default().text("/c/login")),
        "Unlock" => unlocked(&["/c/login"], "/"),
        "CreateItem" => {
            there = true;
            Says::Answer("oo", Body::default().text("/i/1").text("/"))
        }
        "Delete" => Says::Answer("o", Body::default().text("/")),
        _ => Says::Answer("", Body::default()),
    });
    let (vault, value) = (reach(&fake, |_| {}), SecretValue::new(b"v4lue-of-anna".to_vec()));
    vault.put(&item(), &value).await.unwrap();
    assert_eq!(fake.members().last().unwrap(), "CreateItem");
    vault.put(&item(), &value).await.unwrap();
    assert_eq!(fake.members().last().unwrap(), "SetSecret");
    assert!(vault.remove(&item()).await.unwrap());
    let other = SecretRef::parse("env://X").unwrap();
    assert_eq!(fault(vault.put(&other, &value).await).0, FaultKind::Malformed);
    let empty = SecretValue::new(Vec::new());
    assert_eq!(fault(vault.put(&item(), &empty).await).0, FaultKind::Malformed);
}

#[tokio::test]
async fn nothing_is_put_where_a_person_would_have_to_say_yes() {
    let script = |alias: &'static str, prompt: &'static str| {
        move |member: &str| match member {
            "OpenSession" => session(),
            "SearchItems" => found(&[], &[]),
            "ReadAlias" => Says::Answer("o", Body::default().text(alias)),
            "Unlock" => unlocked(&["/c/login"], "/"),
            _ => Says::Answer("oo", Body::default().text("/").text(prompt)),
        }
    };
    let value = SecretValue::new(b"v4lue-of-anna".to_vec());
    for (alias, prompt, expected) in
        [("/c/login", "/prompt/1", FaultKind::Sealed), ("/", "/", FaultKind::Missing)]
    {
        let fake = Fake::start(script(alias, prompt));
        assert_eq!(fault(reach(&fake, |_| {}).put(&item(), &value).await).0, expected);
    }
}
