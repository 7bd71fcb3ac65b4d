//! Which of a server's tools are judged, and how? All of them by one gate, made anew when the list is another. Where none can
//! be made, nothing is judged by the gate before: its list was another one.

use super::tools::{self, Generation};
use super::{CHANGES_MAX, Talk};
use bartizan_scan::json::View;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The tools as they were judged last.
#[derive(Default)]
pub(super) struct Judged {
    /// The list that this is of.
    listing: Vec<String>,
    generation: Option<Arc<Generation>>,
    /// Why they cannot be judged, and when that was found.
    flaw: Option<(Instant, String)>,
}

impl Judged {
    /// What is known already. That they cannot be judged is known for a moment: to find it out asks the server for its list
    /// and reads all policies, and every call would. Whoever mends it waits no longer than that.
    fn known(&self, stale: bool, now: Instant) -> Option<Result<Arc<Generation>, String>> {
        match &self.flaw {
            Some((since, why)) => {
                (now.saturating_duration_since(*since) < FLAWED).then(|| Err(why.clone()))
            }
            None => self.generation.clone().filter(|_| !stale).map(Ok),
        }
    }
}

impl Talk {
    /// The server's tools as the gate knows them, read anew when the server says that they changed.
    pub(super) async fn generation(
        &self,
        meta: Option<View<'_>>,
    ) -> Result<Arc<Generation>, String> {
        let mut judged = self.judged.lock().await;
        if let Some(known) = judged.known(self.stale.load(Ordering::Acquire), Instant::now()) {
            return known;
        }
        self.stale.store(false, Ordering::Release);
        let made = self.judge(&mut judged, meta).await;
        judged.flaw = made.as_ref().err().map(|why| (Instant::now(), why.clone()));
        judged.generation = made.as_ref().ok().cloned();
        made
    }

    async fn judge(
        &self,
        judged: &mut Judged,
        meta: Option<View<'_>>,
    ) -> Result<Arc<Generation>, String> {
        let before = judged.generation.take();
        let pages = self.pages("tools/list", meta).await?;
        let listing: Vec<String> = tools::listed(&pages).map(View::compact).collect();
        let same = judged.listing == listing;
        // What is held may have been accepted meanwhile.
        if let Some(before) = before.filter(|before| same && before.held.is_empty()) {
            return Ok(before);
        }
        judged.listing = listing;
        let number = {
            let mut state = self.lock();
            state.generations += 1;
            state.changes += u64::from(!same);
            if state.changes > CHANGES_MAX {
                return Err("the server has changed its tools too often".to_owned());
            }
            state.generations
        };
        (self.parts.make)(number, &pages).map(Arc::new)
    }

    /// The list that the tools are judged by.
    pub(super) async fn listing(&self) -> Vec<String> {
        self.judged.lock().await.listing.clone()
    }
}

/// How long it is known that tools cannot be judged.
const FLAWED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_tools_cannot_be_judged_is_known_for_a_moment_whatever_the_server_says() {
        let now = Instant::now();
        let mut judged = Judged::default();
        assert!(judged.known(false, now).is_none(), "nobody has looked");
        judged.flaw = Some((now, "why".to_owned()));
        for stale in [false, true] {
            let known = judged.known(stale, now + FLAWED / 2);
            assert!(known.is_some_and(|known| known.is_err_and(|why| why == "why")));
            assert!(judged.known(stale, now + FLAWED).is_none());
        }
    }
}
