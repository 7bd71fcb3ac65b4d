//! Is a token minted when it is needed, kept no longer than it lives, and refused when the server says anything else?

use crate::fake::{Asked, Fake, Reply};
use bartizan_egress::vault::{
    ClientCredentials, ClientProof, Declared, FaultKind, Forgetful, GithubApp, TokenMint,
};
use bartizan_egress::{SecretError, SecretRef, Upstream, Vault};
use bartizan_gate::name::SecretName;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

fn name() -> SecretName {
    SecretName::parse("api").unwrap()
}

fn vault(mint: TokenMint, variables: &[(&str, &str)]) -> Vault {
    let variables: HashMap<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    Vault::builder().environment(variables).declare(name(), Declared::token(mint)).build()
}

fn client(fake: &Fake, proof: ClientProof) -> TokenMint {
    TokenMint::Client(ClientCredentials {
        endpoint: Upstream::parse(&format!("{}/oauth/token", fake.base())).unwrap(),
        id: "the client".to_owned(),
        secret: SecretRef::parse("env://CLIENT_SECRET").unwrap(),
        scope: Some("read write".to_owned()),
        audience: None,
        proof,
    })
}

async fn value(vault: &Vault) -> String {
    let value = vault.named(&name()).await.unwrap();
    value.danger_expose(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

async fn fault(vault: &Vault) -> FaultKind {
    match vault.named(&name()).await {
        Err(SecretError::BackEnd { fault, .. }) => {
            assert!(!fault.to_string().contains("s3cr"), "{fault}");
            fault.kind()
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a value"),
    }
}

const SECRET: [(&str, &str); 1] = [("CLIENT_SECRET", "s3cr=t&x")];

#[tokio::test]
async fn an_oauth_client_gets_one_token_for_many_uses() {
    let fake = Fake::start(|_: &Asked| {
        let answer =
            json!({ "access_token": "minted-token", "token_type": "Bearer", "expires_in": 3600 });
        Reply::Json(200, answer.to_string())
    })
    .await;
    let vault = vault(client(&fake, ClientProof::Basic), &SECRET);
    let (first, second) = tokio::join!(value(&vault), value(&vault));
    assert_eq!((first.as_str(), second.as_str()), ("minted-token", "minted-token"));
    assert_eq!(value(&vault).await, "minted-token");
    let asked = fake.asked();
    assert_eq!(asked.len(), 1, "one flight, and kept");
    assert_eq!(asked[0].line, "POST /oauth/token");
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=read+write");
    // base64 of "the+client:s3cr%3Dt%26x", in lower case as the fake keeps heads.
    assert!(
        asked[0].head.contains("authorization: basic dghlk2nsawvuddpzm2nyjtnedcuynng="),
        "{}",
        asked[0].head
    );
}

#[tokio::test]
async fn a_server_that_knows_no_better_gets_the_secret_in_the_body() {
    let fake = Fake::start(|_: &Asked| {
        Reply::Json(200, json!({ "access_token": "t", "token_type": "bearer" }).to_string())
    })
    .await;
    assert_eq!(value(&vault(client(&fake, ClientProof::Body), &SECRET)).await, "t");
    let asked = fake.asked();
    assert!(asked[0].body.ends_with("&client_id=the+client&client_secret=s3cr%3Dt%26x"));
    assert!(!asked[0].head.contains("authorization"));
}

#[tokio::test]
async fn a_token_near_its_end_is_not_kept() {
    let fake = Fake::start(|_: &Asked| {
        let answer = json!({ "access_token": "t", "token_type": "bearer", "expires_in": "9" });
        Reply::Json(200, answer.to_string())
    })
    .await;
    let vault = vault(client(&fake, ClientProof::Basic), &SECRET);
    value(&vault).await;
    value(&vault).await;
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn what_is_no_token_is_not_used() {
    let bodies = [
        (200, r#"{"access_token":"t","token_type":"mac"}"#, FaultKind::Malformed),
        (200, r#"{"access_token":"","token_type":"bearer"}"#, FaultKind::Malformed),
        (200, r#"{"access_token":"a b","token_type":"bearer"}"#, FaultKind::Malformed),
        (200, r#"{"access_token":"a\r\nx: y","token_type":"bearer"}"#, FaultKind::Malformed),
        (200, "<html>", FaultKind::Malformed),
        (401, r#"{"error":"invalid_client s3cr=t&x"}"#, FaultKind::Denied),
        (503, "", FaultKind::Down),
    ];
    for (status, body, kind) in bodies {
        let fake = Fake::start(move |_: &Asked| Reply::Json(status, body.to_owned())).await;
        assert_eq!(fault(&vault(client(&fake, ClientProof::Basic), &SECRET)).await, kind, "{body}");
    }
}

#[tokio::test]
async fn a_client_is_not_sent_elsewhere_and_does_not_wait_for_ever() {
    let elsewhere = Fake::start(|_: &Asked| Reply::Json(200, "{}".to_owned())).await;
    let to = elsewhere.base();
    let fake = Fake::start(move |_: &Asked| Reply::Elsewhere(to.clone())).await;
    assert_eq!(fault(&vault(client(&fake, ClientProof::Basic), &SECRET)).await, FaultKind::Down);
    assert_eq!(elsewhere.asked().len(), 0, "the client's secret went with the redirect");

    let silent = Fake::start(|_: &Asked| Reply::Silence).await;
    let mut declared = Declared::token(client(&silent, ClientProof::Basic));
    declared.timeout = Duration::from_millis(200);
    let variables = SECRET.map(|(name, value)| (name.to_owned(), value.into())).into();
    let vault = Vault::builder().environment(variables).declare(name(), declared).build();
    assert_eq!(fault(&vault).await, FaultKind::Slow);
}

#[tokio::test]
async fn without_its_secret_no_client_asks() {
    let fake = Fake::start(|_: &Asked| Reply::Json(200, "{}".to_owned())).await;
    let vault = vault(client(&fake, ClientProof::Basic), &[]);
    assert_eq!(fault(&vault).await, FaultKind::Missing);
    let said = vault.named(&name()).await.map(drop).unwrap_err().to_string();
    assert!(said.contains("`env://CLIENT_SECRET` is missing"), "{said}");
    assert_eq!(fake.asked().len(), 0);
}

fn app(fake: &Fake) -> TokenMint {
    TokenMint::GithubApp(GithubApp {
        api: Upstream::parse(&fake.base()).unwrap(),
        app: "1234".to_owned(),
        installation: 77,
        key: SecretRef::parse("env://APP_KEY").unwrap(),
        repositories: vec!["site".to_owned()],
        permissions: BTreeMap::from([("contents".to_owned(), "read".to_owned())]),
    })
}

/// Makes an RSA key as GitHub hands them out, with the tool at hand.
fn rsa_key(traditional: bool) -> Option<(String, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    #[expect(clippy::disallowed_methods, reason = "the test makes a key")]
    let mut command = std::process::Command::new("openssl");
    command.args(["genrsa", "-out"]).arg(&key);
    if traditional {
        command.arg("-traditional");
    }
    let made = command.arg("2048").output().ok()?;
    assert!(made.status.success(), "{made:?}");
    Some((std::fs::read_to_string(&key).unwrap(), dir))
}

/// Whether `openssl` finds the signature of the JSON Web Token good.
fn is_signed(token: &str, dir: &std::path::Path) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    std::fs::write(dir.join("signed"), signed).unwrap();
    std::fs::write(dir.join("signature"), URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let script = "openssl rsa -in key.pem -pubout -out public.pem 2>/dev/null \
                  && openssl dgst -sha256 -verify public.pem -signature signature signed";
    #[expect(clippy::disallowed_methods, reason = "the test asks the real tool")]
    let ran =
        std::process::Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    ran.status.success()
}

#[tokio::test]
async fn a_github_app_signs_for_a_narrow_token_and_ends_it() {
    for traditional in [true, false] {
        let Some((key, dir)) = rsa_key(traditional) else {
            crate::skipped("the key of a GitHub App: there is no openssl");
            return;
        };
        let seen = Arc::new(std::sync::Mutex::new(String::new()));
        let fake = Fake::start({
            let seen = Arc::clone(&seen);
            move |asked: &Asked| match asked.line.as_str() {
                "POST /app/installations/77/access_tokens" => {
                    *seen.lock().unwrap() = asked.whole_head.clone();
                    Reply::Json(201, json!({ "token": "ghs_minted" }).to_string())
                }
                "DELETE /installation/token" => Reply::Json(204, String::new()),
                _ => Reply::Json(404, String::new()),
            }
        })
        .await;
        let vault = vault(app(&fake), &[("APP_KEY", &key)]);
        assert_eq!(value(&vault).await, "ghs_minted");
        let head = seen.lock().unwrap().clone();
        let proof = head.lines().find_map(|line| line.split_once("Bearer ")).unwrap().1;
        assert!(is_signed(proof, dir.path()), "{proof}");
        let body: serde_json::Value = serde_json::from_str(&fake.asked()[0].body).unwrap();
        assert_eq!(
            body,
            json!({ "repositories": ["site"], "permissions": { "contents": "read" } })
        );

        assert!(vault.close().await.is_empty());
        let last = fake.asked().pop().unwrap();
        assert_eq!(last.line, "DELETE /installation/token");
        assert!(last.whole_head.contains("Bearer ghs_minted"));
    }
}

#[tokio::test]
async fn a_token_of_a_run_that_was_killed_is_ended_by_the_next() {
    let Some((key, _dir)) = rsa_key(false) else {
        crate::skipped("the key of a GitHub App: there is no openssl");
        return;
    };
    let fake = Fake::start(|asked: &Asked| match asked.line.as_str() {
        "DELETE /installation/token" => Reply::Json(204, String::new()),
        _ => Reply::Json(201, json!({ "token": "ghs_minted" }).to_string()),
    })
    .await;
    let with = |book: &Arc<Forgetful>, key: &str, mint: TokenMint| {
        let variables = HashMap::from([("APP_KEY".to_owned(), key.into())]);
        let builder = Vault::builder().environment(variables).leases(Arc::clone(book) as _);
        builder.declare(name(), Declared::token(mint)).build()
    };
    let book = Arc::new(Forgetful::default());
    assert_eq!(value(&with(&book, &key, app(&fake))).await, "ghs_minted");
    // It was killed: nothing was closed, and the book is all that is left.
    let left = book.leases();
    assert!(left.len() == 1 && !format!("{left:?}").contains("ghs_minted"), "{left:?}");

    // Without the app's key it is ended by nobody, and ends by itself.
    let other = Arc::new(Forgetful::with(left.clone()));
    assert!(with(&other, "another", app(&fake)).recover().await.1.is_empty());
    assert_eq!(fake.asked().len(), 1);
    let book = Arc::new(Forgetful::with(left));
    let (gone, faults) = with(&book, &key, app(&fake)).recover().await;
    assert_eq!((gone, faults.len(), book.leases().len()), (1, 0, 0));
    let last = fake.asked().pop().unwrap();
    assert_eq!(last.line, "DELETE /installation/token");
    assert!(last.whole_head.contains("Bearer ghs_minted"));
}

#[tokio::test]
async fn a_token_that_github_does_not_take_back_stays_in_the_book() {
    let Some((key, _dir)) = rsa_key(false) else {
        crate::skipped("the key of a GitHub App: there is no openssl");
        return;
    };
    let fake = Fake::start(|asked: &Asked| match asked.line.as_str() {
        "DELETE /installation/token" => Reply::HangUp,
        _ => Reply::Json(201, json!({ "token": "ghs_minted" }).to_string()),
    })
    .await;
    let book = Arc::new(Forgetful::default());
    let variables = HashMap::from([("APP_KEY".to_owned(), key.into())]);
    let builder = Vault::builder().environment(variables).leases(Arc::clone(&book) as _);
    let vault = builder.declare(name(), Declared::token(app(&fake))).build();
    value(&vault).await;
    assert_eq!((vault.close().await.len(), book.leases().len()), (1, 1));
}

#[tokio::test]
async fn a_key_that_is_none_is_said_without_being_shown() {
    let fake = Fake::start(|_: &Asked| Reply::Json(201, "{}".to_owned())).await;
    for key in [
        "s3cr-no-pem",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr\n-----END",
        "-----BEGIN X-----\nAAAA",
    ] {
        assert_eq!(fault(&vault(app(&fake), &[("APP_KEY", key)])).await, FaultKind::Malformed);
    }
    assert_eq!(fake.asked().len(), 0);
}

mod aws {
    use super::*;
    use bartizan_egress::vault::{AwsIdentity, AwsKeys, AwsRole};

    fn vault(fake: &Fake) -> Vault {
        let reference = |text: &str| SecretRef::parse(text).unwrap();
        let role = AwsRole {
            arn: "arn:aws:iam::123456789012:role/agent".to_owned(),
            session: "bartizan".to_owned(),
            external_id: None,
            lives: Duration::from_hours(1),
            sts: Upstream::parse(&fake.base()).unwrap(),
            region: "eu-west-1".to_owned(),
        };
        let (id, secret) = (reference("env://ID"), reference("env://S"));
        let own = AwsKeys::Apart { id, secret, token: None };
        let identity = AwsIdentity { own, role: Some(role) };
        let variables = [("ID", "AKIAOWN"), ("S", "s3cr-own")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.into())).into();
        Vault::builder().environment(variables).declare(name(), Declared::aws(identity)).build()
    }

    const KEYS: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIATAKEN</AccessKeyId>\
        <SecretAccessKey>taken/secret+key=</SecretAccessKey><SessionToken>FwoGtoken==</SessionToken>\
        </Credentials></AssumeRoleResult></AssumeRoleResponse>";

    #[tokio::test]
    async fn a_role_is_taken_once_and_its_keys_are_used() {
        let fake = Fake::start(|_: &Asked| Reply::Json(200, KEYS.to_owned())).await;
        let vault = vault(&fake);
        assert_eq!(value(&vault).await, "taken/secret+key=");
        assert_eq!(value(&vault).await, "taken/secret+key=");
        let asked = fake.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(
            asked[0].body,
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fagent\
             &RoleSessionName=bartizan&DurationSeconds=3600"
        );
        assert!(asked[0].whole_head.contains("Credential=AKIAOWN/"), "{}", asked[0].whole_head);
        assert!(asked[0].whole_head.contains("/eu-west-1/sts/aws4_request"));
        assert!(!format!("{:?}", asked[0]).contains("s3cr-own"));
    }

    #[tokio::test]
    async fn what_holds_no_keys_gives_none() {
        for (status, body, kind) in [
            (200, "<AccessKeyId>A</AccessKeyId>".to_owned(), FaultKind::Malformed),
            (200, KEYS.replace("FwoGtoken==", "a&lt;b"), FaultKind::Malformed),
            (200, KEYS.replace("FwoGtoken==", ""), FaultKind::Malformed),
            (403, "<Code>AccessDenied</Code>s3cr".to_owned(), FaultKind::Denied),
            (500, String::new(), FaultKind::Down),
        ] {
            let fake = Fake::start(move |_: &Asked| Reply::Json(status, body.clone())).await;
            assert_eq!(fault(&vault(&fake)).await, kind);
        }
    }
}
