//! What the porter says to whom.
use super::*;

#[test]
fn the_metadata_of_a_resource_lie_between_its_host_and_its_path() {
    for (resource, url) in [
        ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
        (
            "https://a.example:8443/mcp",
            "https://a.example:8443/.well-known/oauth-protected-resource/mcp",
        ),
    ] {
        assert_eq!(metadata_url(resource).as_deref(), Some(url));
    }
    assert_eq!(metadata_url("urn:mcp"), None);
}

#[tokio::test]
async fn where_nothing_is_demanded_everybody_has_that_role_and_the_log_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let porter = Porter::new(store.clone(), BTreeSet::new(), None);
    assert!(porter.identify(Shown { authorization: None, certificate: None }).await.is_err());
    let porter = porter.demanding_nothing("reader".to_owned());
    let pass = porter.identify(Shown { authorization: None, certificate: None }).await.unwrap();
    assert_eq!((pass.who.role.as_str(), &pass.who.by), ("reader", &Evidence::Undemanded));
    store.checkpoint().unwrap();
    let records = store.reader().page(&bartizan_store::Filter::default(), 10).unwrap();
    assert!(records.iter().any(|record| record.json.contains("undemanded")));
}

#[tokio::test]
async fn a_crowd_of_one_identity_is_one_record_and_whoever_is_known_waits_for_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let porter = Porter::new(store.clone(), BTreeSet::new(), None);
    let porter = porter.demanding_nothing("reader".to_owned());
    let identify = || porter.identify(Shown { authorization: None, certificate: None });
    let (one, two, three) = tokio::join!(identify(), identify(), identify());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    store.checkpoint().unwrap();
    let records = store.reader().page(&bartizan_store::Filter::default(), 10).unwrap();
    assert_eq!(records.iter().filter(|record| record.json.contains("undemanded")).count(), 1);
    let _recording = porter.recording.lock().await;
    let known = tokio::time::timeout(Duration::from_mins(1), identify()).await;
    assert!(known.is_ok_and(|known| known.is_ok()));
}
