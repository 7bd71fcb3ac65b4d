//! Does `vault://` give what the server has, and refuse what it should not believe? Against a fake that fails in
//! every way, and a real server where `VAULT_ADDR` says so; `scripts/try-vault` asks `RustyVault`.

use crate::fake::{Asked, Fake, Reply};
use bartizan_egress::vault::{Declared, FaultKind, Forgetful, Lease, LeaseBook, Login, Server};
use bartizan_egress::{SecretError, SecretRef, Upstream, Vault};
use bartizan_gate::name::SecretName;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn reference(text: &str) -> SecretRef {
    SecretRef::parse(text).unwrap()
}

fn server(base: &str, login: Login) -> Server {
    Server { base: Upstream::parse(base).unwrap(), namespace: None, login }
}

fn variables() -> HashMap<String, std::ffi::OsString> {
    [("TOKEN", "t0ken"), ("ROLE", "r0le"), ("SECRET", "s3cret")]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into()
}

fn token() -> Login {
    Login::Token(reference("env://TOKEN"))
}

fn app_role(wrapped: bool) -> Login {
    Login::AppRole {
        mount: "approle".to_owned(),
        role: reference("env://ROLE"),
        secret: reference("env://SECRET"),
        wrapped,
    }
}

/// A vault before a fake, and the book it writes in.
fn before(fake: &Fake, login: Login) -> (Vault, Arc<Forgetful>) {
    let book = Arc::new(Forgetful::default());
    let vault = Vault::builder()
        .environment(variables())
        .server(server(&fake.base(), login))
        .leases(Arc::clone(&book) as Arc<dyn LeaseBook>)
        .build();
    (vault, book)
}

async fn value(vault: &Vault, text: &str) -> String {
    let value = vault.resolve(&reference(text)).await.unwrap();
    value.danger_expose(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

async fn kind(vault: &Vault, text: &str) -> FaultKind {
    match vault.resolve(&reference(text)).await {
        Err(SecretError::BackEnd { fault, .. }) => fault.kind(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a value"),
    }
}

fn kv(asked: &Asked) -> Reply {
    let answer = match asked.line.as_str() {
        "GET /v1/kv/app" => {
            json!({ "lease_id": "", "lease_duration": 2_764_800, "data": { "token": "one", "port": 5432 } })
        }
        "GET /v1/secret/data/app" => {
            json!({ "lease_id": "", "data": { "data": { "token": "two" }, "metadata": { "version": 3 } } })
        }
        "GET /v1/secret/data/gone" => {
            json!({ "data": { "data": null, "metadata": { "version": 4, "deletion_time": "2026-11-25T00:00:00Z" } } })
        }
        _ => return Reply::Json(404, "{\"errors\":[]}".to_owned()),
    };
    Reply::Json(200, answer.to_string())
}

#[tokio::test]
async fn both_versions_of_kv_give_their_fields() {
    let fake = Fake::start(kv).await;
    let (vault, book) = before(&fake, token());
    assert_eq!(value(&vault, "vault://kv/app#token").await, "one");
    assert_eq!(value(&vault, "vault://kv/app#port").await, "5432");
    assert_eq!(value(&vault, "vault://secret/data/app#token").await, "two");
    assert_eq!(fake.lines().len(), 2, "fields of one answer are asked for together");
    assert_eq!(kind(&vault, "vault://secret/data/app#nothing").await, FaultKind::Missing);
    assert_eq!(kind(&vault, "vault://secret/data/gone#token").await, FaultKind::Missing);
    assert_eq!(kind(&vault, "vault://no/such#token").await, FaultKind::Missing);
    assert!(fake.asked().iter().all(|asked| asked.head.contains("x-vault-token: t0ken")));
    assert_eq!(book.leases(), [], "what has no lease is not left in the book");
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_refusal_with_its_reason_and_never_a_hang() {
    let other =
        Fake::start(|_| Reply::Json(200, json!({ "data": { "f": "stolen" } }).to_string())).await;
    let elsewhere = format!("{}/v1/x", other.base());
    let replies = [
        (Reply::Json(503, "{\"errors\":[\"Vault is sealed\"]}".into()), FaultKind::Sealed),
        (
            Reply::Json(403, "{\"errors\":[\"permission denied for t0ken\"]}".into()),
            FaultKind::Denied,
        ),
        (Reply::Json(500, "t0ken".into()), FaultKind::Down),
        (Reply::Json(429, String::new()), FaultKind::Down),
        (Reply::Json(200, "{\"data\":".into()), FaultKind::Malformed),
        (Reply::Json(200, "[]".into()), FaultKind::Malformed),
        (Reply::Json(200, "{\"data\":[\"f\"]}".into()), FaultKind::Malformed),
        (Reply::Json(200, "x".repeat(2 << 20)), FaultKind::Down),
        (Reply::Cut("{\"data\":{\"f\":\"v\"}}".into()), FaultKind::Down),
        (Reply::HangUp, FaultKind::Down),
        (Reply::Silence, FaultKind::Slow),
        (Reply::Elsewhere(elsewhere), FaultKind::Down),
    ];
    for (reply, expected) in replies {
        let shown = format!("{reply:?}").chars().take(60).collect::<String>();
        let fake = Fake::start(move |_| reply.clone()).await;
        let name = SecretName::parse("x").unwrap();
        let declared =
            Declared { timeout: Duration::from_secs(5), ..Declared::new(reference("vault://x#f")) };
        let vault = Vault::builder().environment(variables()).declare(name.clone(), declared);
        let vault = vault.server(server(&fake.base(), token())).build();
        let Err(SecretError::BackEnd { fault, .. }) = vault.named(&name).await else {
            panic!("{shown}")
        };
        assert_eq!(fault.kind(), expected, "{shown}");
        assert!(!fault.to_string().contains("t0ken"), "{fault}");
    }
    assert_eq!(other.lines(), Vec::<String>::new(), "a redirect is not followed");
    let nobody = Vault::builder()
        .environment(variables())
        .server(server("http://127.0.0.1:1", token()))
        .build();
    assert_eq!(kind(&nobody, "vault://x#f").await, FaultKind::Down);
    assert_eq!(kind(&Vault::system(), "vault://x#f").await, FaultKind::Missing);
}

#[tokio::test]
async fn a_role_logs_in_once_and_again_when_its_token_is_refused() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    let fake = Fake::start(move |asked| {
        if asked.line == "POST /v1/auth/approle/login" {
            assert_eq!(asked.body, json!({ "role_id": "r0le", "secret_id": "s3cret" }).to_string());
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            let auth = json!({ "auth": { "client_token": format!("token-{number}"), "lease_duration": 3600 } });
            return Reply::Json(200, auth.to_string());
        }
        // The first token is taken once, then it was revoked.
        let first = asked.head.contains("x-vault-token: token-1");
        if first && asked.line.ends_with("/b") { Reply::Json(403, "{}".into()) } else { Reply::Json(200, json!({ "data": { "f": "v" } }).to_string()) }
    })
    .await;
    let (vault, _) = before(&fake, app_role(false));
    assert_eq!(value(&vault, "vault://a#f").await, "v");
    assert_eq!(value(&vault, "vault://b#f").await, "v");
    assert_eq!(value(&vault, "vault://c#f").await, "v");
    assert_eq!(logins.load(Ordering::SeqCst), 2);
    assert!(vault.close().await.is_empty());
    assert_eq!(fake.lines().last().unwrap(), "POST /v1/auth/token/revoke-self");
}

#[tokio::test]
async fn a_wrapped_secret_id_is_unwrapped_and_one_that_is_used_up_is_an_alarm() {
    let used = Arc::new(AtomicUsize::new(0));
    let fake = Fake::start(move |asked| match asked.line.as_str() {
        "POST /v1/sys/wrapping/unwrap" => {
            assert!(asked.head.contains("x-vault-token: s3cret"));
            match used.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::Json(200, json!({ "data": { "secret_id": "inner" } }).to_string()),
                _ => Reply::Json(
                    400,
                    "{\"errors\":[\"wrapping token is not valid or does not exist\"]}".into(),
                ),
            }
        }
        "POST /v1/auth/approle/login" => {
            assert!(asked.body.contains("\"inner\""));
            Reply::Json(
                200,
                json!({ "auth": { "client_token": "t", "lease_duration": 0 } }).to_string(),
            )
        }
        _ => Reply::Json(200, json!({ "data": { "f": "v" } }).to_string()),
    })
    .await;
    let (vault, _) = before(&fake, app_role(true));
    assert_eq!(value(&vault, "vault://a#f").await, "v");
    let (second, _) = before(&fake, app_role(true));
    let error = second.resolve(&reference("vault://a#f")).await.err().unwrap().to_string();
    assert!(error.contains("somebody else did"), "{error}");
}

/// A server with a database role whose leases live for `lives` seconds.
fn database(lives: u64, renewal: Reply) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    let minted = AtomicUsize::new(0);
    move |asked| match asked.line.as_str() {
        "GET /v1/database/creds/app" => {
            let number = minted.fetch_add(1, Ordering::SeqCst) + 1;
            let lease = json!({
                "lease_id": format!("database/creds/app/{number}"), "lease_duration": lives, "renewable": true,
                "data": { "username": format!("user-{number}"), "password": format!("pass-{number}") },
            });
            Reply::Json(200, lease.to_string())
        }
        "PUT /v1/sys/leases/renew" => renewal.clone(),
        "PUT /v1/sys/leases/revoke" => Reply::Json(204, String::new()),
        _ => Reply::Json(404, "{}".into()),
    }
}

#[tokio::test]
async fn a_database_login_is_one_lease_written_down_before_it_is_asked_for() {
    let book = Arc::new(Forgetful::default());
    let seen = Arc::clone(&book);
    let answer = database(3600, Reply::HangUp);
    let fake = Fake::start(move |asked| {
        if asked.line.starts_with("GET") {
            let leases = seen.leases();
            assert_eq!(leases.len(), 1, "it is in the book before it is minted");
            assert_eq!(
                (leases[0].subject.as_str(), &leases[0].handle),
                ("database/creds/app", &None)
            );
        }
        answer(asked)
    })
    .await;
    let vault = Vault::builder().environment(variables()).server(server(&fake.base(), token()));
    let vault = vault.leases(Arc::clone(&book) as Arc<dyn LeaseBook>).build();
    assert_eq!(value(&vault, "vault://database/creds/app#username").await, "user-1");
    assert_eq!(value(&vault, "vault://database/creds/app#password").await, "pass-1");
    assert_eq!(book.leases()[0].handle.as_deref(), Some("database/creds/app/1"));
    assert!(vault.close().await.is_empty());
    assert_eq!(book.leases(), []);
    let revoked = fake.asked().into_iter().find(|asked| asked.line.ends_with("revoke")).unwrap();
    assert!(revoked.body.contains("database/creds/app/1"));
}

#[tokio::test]
async fn without_a_book_no_lease_is_used() {
    let fake = Fake::start(database(3600, Reply::HangUp)).await;
    let vault =
        Vault::builder().environment(variables()).server(server(&fake.base(), token())).build();
    assert_eq!(kind(&vault, "vault://database/creds/app#password").await, FaultKind::Down);
}

#[tokio::test]
async fn a_book_that_cannot_be_written_stops_the_minting() {
    struct Full;
    impl LeaseBook for Full {
        fn write(&self, _: &Lease) -> Result<(), String> {
            Err("disk full".to_owned())
        }
        fn strike(&self, _: &str) -> Result<(), String> {
            Err("disk full".to_owned())
        }
        fn orphans(&self) -> Result<Vec<Lease>, String> {
            Err("disk full".to_owned())
        }
    }
    let fake = Fake::start(database(3600, Reply::HangUp)).await;
    let vault = Vault::builder().environment(variables()).server(server(&fake.base(), token()));
    let vault = vault.leases(Arc::new(Full)).build();
    assert_eq!(kind(&vault, "vault://database/creds/app#password").await, FaultKind::Down);
    assert_eq!(fake.lines(), Vec::<String>::new());
    assert_eq!(vault.recover().await.1.len(), 1);
}

#[tokio::test]
async fn a_lease_that_ends_is_renewed_and_one_that_cannot_be_is_replaced() {
    let renewed = json!({ "lease_duration": 3600, "renewable": true }).to_string();
    for (renewal, expected, lines) in [
        (Reply::Json(200, renewed), "user-1", 2),
        // Gone, refused, shorter than is any use: another is minted, the old one taken back.
        (Reply::Json(400, "{\"errors\":[\"lease not found\"]}".into()), "user-2", 4),
        (Reply::Json(403, "{}".into()), "user-2", 4),
        (Reply::Json(200, json!({ "lease_duration": 3 }).to_string()), "user-2", 4),
    ] {
        // Zero seconds: it is used up at once, so the next use must see to it.
        let fake = Fake::start(database(0, renewal)).await;
        let (vault, book) = before(&fake, token());
        assert_eq!(value(&vault, "vault://database/creds/app#username").await, "user-1");
        assert_eq!(value(&vault, "vault://database/creds/app#username").await, expected);
        assert_eq!(fake.lines().len(), lines, "{:?}", fake.lines());
        assert_eq!(book.leases().len(), 1);
    }
}

#[tokio::test]
async fn a_lease_that_could_not_be_taken_back_in_between_is_taken_back_at_the_end() {
    let (answer, refusals) = (database(0, Reply::Json(403, "{}".into())), AtomicUsize::new(0));
    let fake = Fake::start(move |asked| {
        let revokes = asked.line.ends_with("/revoke");
        if revokes && refusals.fetch_add(1, Ordering::SeqCst) == 0 {
            return Reply::Json(503, "{}".into());
        }
        answer(asked)
    })
    .await;
    let (vault, book) = before(&fake, token());
    assert_eq!(value(&vault, "vault://database/creds/app#username").await, "user-1");
    assert_eq!(kind(&vault, "vault://database/creds/app#username").await, FaultKind::Sealed);
    assert_eq!(value(&vault, "vault://database/creds/app#username").await, "user-2");
    assert_eq!(vault.close().await, []);
    assert_eq!(book.leases(), []);
    let revoked: Vec<String> = fake
        .asked()
        .into_iter()
        .filter(|asked| asked.line.ends_with("/revoke"))
        .map(|asked| asked.body)
        .collect();
    for lease in ["database/creds/app/1", "database/creds/app/2"] {
        assert!(revoked.iter().any(|body| body.contains(lease)), "{revoked:?}");
    }
}

/// The disk may fill up between the record of what is asked for and that of what came.
#[tokio::test]
async fn a_lease_that_cannot_be_written_down_or_used_is_taken_back_at_once() {
    struct Filling(Forgetful);
    impl LeaseBook for Filling {
        fn write(&self, lease: &Lease) -> Result<(), String> {
            if lease.handle.is_some() { Err("disk full".to_owned()) } else { self.0.write(lease) }
        }
        fn strike(&self, id: &str) -> Result<(), String> {
            self.0.strike(id)
        }
        fn orphans(&self) -> Result<Vec<Lease>, String> {
            self.0.orphans()
        }
    }
    let odd = json!({ "lease_id": "database/creds/app/1", "lease_duration": 60, "data": "none" });
    let odd = move |asked: &Asked| {
        let minted = asked.line.starts_with("GET");
        if minted { Reply::Json(200, odd.to_string()) } else { Reply::Json(204, String::new()) }
    };
    let full: Arc<dyn LeaseBook> = Arc::new(Filling(Forgetful::default()));
    for (fake, book, expected) in [
        (Fake::start(database(3600, Reply::HangUp)).await, full, FaultKind::Down),
        (Fake::start(odd).await, Arc::new(Forgetful::default()) as _, FaultKind::Malformed),
    ] {
        let vault = Vault::builder().environment(variables()).server(server(&fake.base(), token()));
        let vault = vault.leases(Arc::clone(&book)).build();
        assert_eq!(kind(&vault, "vault://database/creds/app#username").await, expected);
        let last = fake.asked().pop().unwrap();
        assert!(last.line.ends_with("/revoke") && last.body.contains("database/creds/app/1"));
        assert_eq!(book.orphans().unwrap(), []);
    }
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_taken_back_at_the_next_start() {
    let lease = |id: &str, handle: Option<&str>| Lease {
        id: id.to_owned(),
        back_end: "vault".to_owned(),
        subject: "database/creds/app".to_owned(),
        handle: handle.map(str::to_owned),
    };
    let fake = Fake::start(|asked| {
        let gone = asked.body.contains("expired") || asked.line.starts_with("GET");
        if gone {
            Reply::Json(400, "{\"errors\":[\"invalid lease ID\"]}".into())
        } else {
            Reply::Json(204, String::new())
        }
    })
    .await;
    let left = [lease("a", Some("live")), lease("b", Some("expired")), lease("c", None)];
    let book = Arc::new(Forgetful::with(left.clone()));
    let vault = Vault::builder().environment(variables()).server(server(&fake.base(), token()));
    let vault = vault.leases(Arc::clone(&book) as Arc<dyn LeaseBook>).build();
    assert_eq!(vault.recover().await, (3, Vec::new()));
    assert_eq!(book.leases(), []);
    assert_eq!(fake.lines().len(), 2);
    // A server that is down leaves them in the book for another time.
    let sealed = Fake::start(|_| Reply::Json(503, "{}".into())).await;
    let book = Arc::new(Forgetful::with(left));
    let vault = Vault::builder().environment(variables()).server(server(&sealed.base(), token()));
    let vault = vault.leases(Arc::clone(&book) as Arc<dyn LeaseBook>).build();
    let (gone, faults) = vault.recover().await;
    assert_eq!((gone, faults.len(), book.leases().len()), (1, 2, 2));
}

#[tokio::test]
async fn a_real_server_gives_what_was_put_there() {
    let Ok(address) = std::env::var("VAULT_ADDR") else {
        return crate::skipped("no VAULT_ADDR: no real Vault or OpenBao was asked");
    };
    let path = std::env::var("BARTIZAN_TEST_VAULT_REF")
        .unwrap_or_else(|_| "vault://secret/data/bartizan#value".to_owned());
    let login = Login::Token(reference("env://VAULT_TOKEN"));
    let vault = Vault::builder().server(server(&address, login)).build();
    assert!(!value(&vault, &path).await.is_empty());
}
