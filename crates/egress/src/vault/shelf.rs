//! Who fetches, who waits, and what is kept? One fetch at a time for each secret, its outcome shared.

use super::material::Material;
use crate::secret::SecretError;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What was fetched and is still good.
#[derive(Default)]
pub(super) struct Shelf {
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    kept: Option<(Arc<Material>, Instant)>,
    failed: Option<(SecretError, Instant)>,
}

impl Shelf {
    /// What is kept under `key`, or else what `fetch` brings. Whoever asks while it is fetched waits for that one
    /// fetch and shares its outcome, good or bad. `usual` is how long an answer is kept that does not say how long it lives.
    pub(super) async fn get<F>(
        &self,
        key: &str,
        usual: Duration,
        fetch: F,
    ) -> Result<Arc<Material>, SecretError>
    where
        F: Future<Output = Result<Material, SecretError>>,
    {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key.to_owned()).or_default())
        };
        let came = Instant::now();
        let mut slot = slot.lock().await;
        let now = Instant::now();
        if let Some((kept, until)) = &slot.kept
            && now < *until
        {
            return Ok(Arc::clone(kept));
        }
        slot.kept = None;
        if let Some((error, at)) = &slot.failed
            && came <= *at
        {
            return Err(error.clone());
        }
        let outcome = fetch.await.map(Arc::new);
        match &outcome {
            Ok(material) => {
                let lives = material.lives.unwrap_or(usual);
                slot.kept = Some((Arc::clone(material), Instant::now() + lives));
                slot.failed = None;
            }
            Err(error) => slot.failed = Some((error.clone(), Instant::now())),
        }
        outcome
    }

    /// Forgets what is kept under `key`: it was refused where it was used.
    pub(super) fn forget(&self, key: &str) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
