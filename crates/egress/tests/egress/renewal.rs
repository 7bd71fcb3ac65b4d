//! What happens to a token that its host no longer takes?

use crate::court::{Arrived, Judge, Making, Site, Way};
use bartizan_egress::vault::{ClientCredentials, ClientProof, Declared, Placeholders, TokenMint};
use bartizan_egress::{Bound, Injector, Place, SecretRef, Upstream, Vault};
use bartizan_gate::name::{HostPort, SecretName};
use bartizan_gate::seat::Binding;
use bartizan_scan::ScanKey;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A service whose tokens are revoked while they are in use.
struct Service {
    site: Site,
    way: Way,
    mints: Site,
    /// The one token that is good.
    good: Arc<Mutex<String>>,
}

pub(crate) fn token(number: usize) -> String {
    format!("minted-{number}-kestrel-Umber-42-quarry")
}

/// A vault in which the secret of this name is a token that a service at this port mints.
pub(crate) fn vault_that_mints(name: SecretName, port: u16) -> Vault {
    let mint = TokenMint::Client(ClientCredentials {
        endpoint: Upstream::parse(&format!("http://127.0.0.1:{port}/t")).unwrap(),
        id: "client".to_owned(),
        secret: SecretRef::parse("env://S").unwrap(),
        scope: None,
        audience: None,
        proof: ClientProof::Basic,
    });
    Vault::builder()
        .environment(HashMap::from([("S".to_owned(), "lasting-secret-77".into())]))
        .declare(name, Declared::token(mint))
        .build()
}

impl Service {
    async fn start() -> Self {
        let good = Arc::new(Mutex::new(token(1)));
        let wanted = Arc::clone(&good);
        let site = Site::start(&[b"http/1.1"], move |arrived: &Arrived| {
            let wanted = format!("Bearer {}", wanted.lock().unwrap());
            let status = if arrived.all("authorization") == [wanted] { 200 } else { 401 };
            Response::builder().status(status).body(Full::new(Bytes::from("said"))).unwrap()
        })
        .await;
        let minted = AtomicUsize::new(0);
        let mints = Site::plainly(move |_| {
            let token = token(minted.fetch_add(1, Ordering::SeqCst) + 1);
            let body =
                format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":3600}}"#);
            Response::new(Full::new(body.into()))
        })
        .await;
        let name = SecretName::parse("api").unwrap();
        let vault = vault_that_mints(name.clone(), mints.port);
        let binding = Binding {
            secret: name.clone(),
            target: HostPort::parse(&format!("ok.test:{}", site.port)).unwrap(),
            methods: Vec::new(),
            below: "/".into(),
        };
        let bound = vec![Bound { binding, place: Place::Bearer }];
        let key = ScanKey::new([7; 32]);
        let injector = Injector::new(vault, bound, Arc::new(Placeholders::default()), key);
        let judge = Judge::new(move |_| Ok(Some(name.clone())));
        let way = Way::made(&site, judge, Making { injector, ..Making::default() }).await;
        Self { site, way, mints, good }
    }

    /// From now on only this token is good.
    fn accept(&self, number: usize) {
        *self.good.lock().unwrap() = token(number);
    }

    async fn status(&self, line: &str, body: &str) -> String {
        let answer = self.way.ask(line, "", body).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    fn minted(&self) -> usize {
        self.mints.lines().len()
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_is_minted_anew_and_what_reads_is_sent_again() {
    let service = Service::start().await;
    assert_eq!(service.status("GET /a", "").await, "200");
    assert_eq!((service.minted(), service.site.lines().len()), (1, 1));
    service.accept(2);
    assert_eq!(service.status("GET /b", "").await, "200");
    assert_eq!(service.minted(), 2);
    assert_eq!(service.site.lines(), ["GET /a", "GET /b", "GET /b"]);
    assert_eq!(service.way.judge.seen.lock().unwrap().len(), 2, "one request is judged once");
    assert_eq!(service.way.judge.outcomes.lock().unwrap().last().unwrap().status, Some(200));
    assert_eq!(service.status("POST /c", "x").await, "200");
    assert_eq!(service.minted(), 2);
}

#[tokio::test]
async fn what_writes_is_not_sent_twice_but_the_next_has_a_new_token() {
    let service = Service::start().await;
    service.accept(2);
    assert_eq!(service.status("POST /a", "x").await, "401");
    assert_eq!((service.minted(), service.site.lines().len()), (1, 1));
    assert_eq!(service.status("POST /a", "x").await, "200");
    assert_eq!(service.minted(), 2);
}

/// A host that turns everything away, out of malice or because access was taken away, mints nothing without end.
#[tokio::test]
async fn a_host_that_turns_everything_away_gets_one_new_token() {
    let service = Service::start().await;
    service.accept(99);
    for _ in 0..3 {
        assert_eq!(service.status("GET /a", "").await, "401");
    }
    assert_eq!(service.minted(), 2);
    assert_eq!(service.site.lines().len(), 4, "three, and one that was sent again");
}
