//! How often is a back end asked? Once for those who come together, and not again while its answer lives.

use bartizan_egress::vault::Declared;
use bartizan_egress::{SecretRef, Vault};
use bartizan_gate::name::SecretName;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A command that counts how often it is run, and ends as `end` says.
struct Counting {
    dir: TempDir,
    vault: Vault,
    name: SecretName,
}

impl Counting {
    fn new(end: &str, lifetime: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("tool");
        let text = format!("#!/bin/sh\necho x >> \"$0.count\"\n/bin/sleep 0.3\n{end}\n");
        std::fs::write(&tool, text).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let from = SecretRef::parse(&format!("exec:///bin/sh {}", tool.display())).unwrap();
        let timeout = Duration::from_mins(1);
        let declared = Declared { lifetime: Some(lifetime), timeout, ..Declared::new(from) };
        let name = SecretName::parse("counted").unwrap();
        let vault = Vault::builder().declare(name.clone(), declared).build();
        Self { dir, vault, name }
    }

    fn runs(&self) -> usize {
        let path: PathBuf = self.dir.path().join("tool.count");
        std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
    }

    async fn together(&self, callers: usize) -> usize {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let (vault, name) = (self.vault.clone(), self.name.clone());
            tasks.spawn(async move { vault.named(&name).await.is_ok() });
        }
        tasks.join_all().await.into_iter().filter(|&good| good).count()
    }
}

#[tokio::test]
async fn callers_that_come_together_share_one_answer_and_keep_it() {
    let counting = Counting::new("echo v4lue", Duration::from_hours(1));
    assert_eq!(counting.together(8).await, 8);
    assert_eq!(counting.runs(), 1);
    assert_eq!(counting.together(3).await, 3);
    assert_eq!(counting.runs(), 1);
    counting.vault.forget(&counting.name);
    assert_eq!(counting.together(1).await, 1);
    assert_eq!(counting.runs(), 2);
}

#[tokio::test]
async fn callers_that_come_together_share_one_refusal_and_the_next_asks_anew() {
    let counting = Counting::new("exit 1", Duration::from_hours(1));
    assert_eq!(counting.together(8).await, 0);
    assert_eq!(counting.runs(), 1);
    assert_eq!(counting.together(1).await, 0);
    assert_eq!(counting.runs(), 2);
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_asked_for_each_time() {
    let counting = Counting::new("echo v4lue", Duration::ZERO);
    assert_eq!(counting.together(1).await, 1);
    assert_eq!(counting.together(1).await, 1);
    assert_eq!(counting.runs(), 2);
}
