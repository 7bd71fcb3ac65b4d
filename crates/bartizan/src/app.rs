//! How do the floors fit together? The only place that builds a pipeline.

use crate::desk::Ear;
use crate::desk::patience::{Patience, Waiter};
use crate::opinion::{Opinion, Opinions};
use crate::report;
use bartizan_gate::call::{Authorized, Decision, Door, Proposed};
use bartizan_gate::pipeline::{Parts, Pipeline};
use bartizan_gate::policy::{Judgement, Policy, Verdict};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::seat::Caller;
use bartizan_gate::taint::Reading;
use bartizan_scan::Class;
use bartizan_store::Event;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinError;

/// The gate of one run, and what the person will want to know of it at the end.
#[derive(Debug)]
pub(crate) struct Gate {
    pipeline: Pipeline,
    /// Told each time that another policy is in force.
    replaced: watch::Sender<()>,
    run: Arc<Shared>,
}

/// What all gates of one run have together.
#[derive(Debug)]
struct Shared {
    tally: Tally,
    refused: Mutex<Vec<Refused>>,
    /// Who is asked at the run's own terminal, if anybody sits there.
    ear: OnceLock<Arc<dyn Ear>>,
    /// Who else is asked about what was read.
    opinions: OnceLock<Opinions>,
    aloud: bool,
}

/// A call that was allowed, perhaps after people were asked.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The call.
    pub(crate) authorized: Authorized,
    /// Changes each time that another policy is in force than the one that allowed it.
    pub(crate) replaced: watch::Receiver<()>,
}

/// How many proposals had which answer.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    allowed: AtomicU64,
    asked: AtomicU64,
    denied: AtomicU64,
}

/// A refusal in the words for a person.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The stable code.
    pub(crate) code: &'static str,
    /// What the agent was told.
    pub(crate) sentence: String,
    /// What the person can do.
    pub(crate) hint: String,
    /// How often the same was refused.
    pub(crate) times: u64,
}

/// How often each class was found, as the log says it.
pub(crate) fn by_name(found: &BTreeMap<Class, usize>) -> BTreeMap<&'static str, usize> {
    found.iter().map(|(class, times)| (class.name(), *times)).collect()
}

impl Gate {
    /// Wires the gate. `run` is unique to this process in its log; `aloud` says each new refusal on
    /// standard error as it happens, for runs that do not own the terminal's screen.
    #[expect(clippy::disallowed_methods, reason = "the one wiring")]
    pub(crate) fn new(parts: Parts, run: String, aloud: bool) -> Self {
        let (tally, refused) = (Tally::default(), Mutex::default());
        let (ear, opinions) = (OnceLock::new(), OnceLock::new());
        let shared = Shared { tally, refused, ear, opinions, aloud };
        let (pipeline, replaced) = (Pipeline::new(parts, run), watch::Sender::new(()));
        Self { pipeline, replaced, run: Arc::new(shared) }
    }

    /// Wires another gate of the same run, for other tools: it asks at the same terminal, counts with this one, and what
    /// pauses one pauses both.
    #[expect(clippy::disallowed_methods, reason = "the one wiring")]
    pub(crate) fn beside(&self, parts: Parts, run: String) -> Self {
        let (pipeline, replaced) = (self.pipeline.beside(parts, run), watch::Sender::new(()));
        Self { pipeline, replaced, run: Arc::clone(&self.run) }
    }

    /// From now on questions are put before whoever sits at the run's terminal, too.
    pub(crate) fn asks(&self, ear: Arc<dyn Ear>) {
        drop(self.run.ear.set(ear));
    }

    /// From now on somebody else is asked about what looks like orders.
    pub(crate) fn advised_by(&self, opinions: Opinions) {
        drop(self.run.opinions.set(opinions));
    }

    /// Puts another policy in force; whoever waits for [`Gate::replaced`] is told.
    pub(crate) fn replace(&self, caller: &Caller, policy: Policy) -> Result<(), Refusal> {
        self.pipeline.replace(caller, policy)?;
        self.replaced.send_replace(());
        Ok(())
    }

    /// Changes each time that another policy is in force, from now on.
    pub(crate) fn replaced(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Returns once a policy is in force that does not allow `proposed` by itself. A person's word was given under another
    /// policy, so it is not asked for again.
    pub(crate) async fn withdrawn(
        &self,
        mut replaced: watch::Receiver<()>,
        proposed: impl Fn() -> Proposed,
    ) {
        let allows = |judged: Judgement| judged.verdict == Verdict::Allow;
        while replaced.changed().await.is_ok() {
            if !self.pipeline.explain(proposed()).is_ok_and(allows) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Says something to whoever started the run, unless a program has their screen.
    pub(crate) fn say(&self, text: &str) {
        if self.run.aloud {
            report::aloud(text);
        }
    }

    /// The gate itself.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Tells the gate what a session has read, and what somebody else says of it. What looks like orders is on the log, and
    /// who said so; a log that fails here stops the next call.
    pub(crate) fn read(&self, caller: &Caller, reading: &Reading<'_>) {
        let Some(found) = self.pipeline.read(caller, reading) else { return };
        if found.score >= TOLD_SCORE {
            let about = json!({
                "source": reading.source, "score": found.score, "kind": "injection", "signals": found.signals,
            });
            if let Value::Object(about) = about {
                drop(self.pipeline.remark(caller, Event::Finding, about));
            }
        }
        let Some(opinions) = self.run.opinions.get() else { return };
        let Some(opinion) = opinions.of(reading.text, &found) else { return };
        if let (Opinion::Said(score), Some(text)) = (opinion, found.text) {
            self.pipeline.advised(caller, text, score);
        }
        let about = opinions.record(reading.source, found.score, opinion);
        drop(self.pipeline.remark(caller, Event::Finding, about));
    }

    /// Puts on the log what hid in a text, or deceives, and has been treated.
    pub(crate) fn sanitised(&self, caller: &Caller, source: &str, found: &BTreeMap<Class, usize>) {
        if found.is_empty() {
            return;
        }
        let about = json!({ "kind": "sanitised", "source": source, "found": by_name(found) });
        if let Value::Object(about) = about {
            drop(self.pipeline.remark(caller, Event::Finding, about));
        }
    }

    /// Leads a proposal through the gate; a call that must be asked is a refusal until people have
    /// answered.
    pub(crate) fn decide(&self, proposed: Proposed) -> Result<Authorized, Refusal> {
        self.judge(proposed).inspect_err(|refused| {
            if let (Refusal::ApprovalRequired { question, .. }, Some(ear)) =
                (refused, self.run.ear.get())
            {
                ear.hears(question);
            }
        })
    }

    /// Leads a proposal through the gate as [`Gate::decide`] does, and does `meanwhile` while the disk takes its intent;
    /// nothing, with nothing done, where that would be no plain yes.
    pub(crate) fn foresee(
        &self,
        proposed: Proposed,
        meanwhile: &mut dyn FnMut(),
    ) -> Option<Result<Authorized, Refusal>> {
        let foreseen = self.pipeline.foresee(proposed, meanwhile).transpose()?;
        Some(foreseen.map_err(|refused| self.refused_so(refused)).inspect(|_| {
            self.run.tally.allowed.fetch_add(1, Ordering::Relaxed);
        }))
    }

    /// Gives up a call that was allowed and has not begun.
    pub(crate) fn withdraw(&self, authorized: Authorized, code: &str) -> Result<(), Refusal> {
        self.run.tally.allowed.fetch_sub(1, Ordering::Relaxed);
        self.pipeline.withdraw(authorized, code)
    }

    /// Whether a call can be held at all: somebody is asked at the run's own terminal.
    pub(crate) fn holds(&self) -> bool {
        self.run.ear.get().is_some()
    }

    /// Somebody who waits for a call that may be held.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter::new(self.run.ear.get().cloned())
    }

    /// Leads a proposal through the gate; where a person sits at the run's terminal and must be asked, it waits for their
    /// word, on a thread that may wait. Dropping the future gives the call up.
    pub(crate) async fn held(
        self: &Arc<Self>,
        propose: impl Fn() -> Proposed + Send + 'static,
    ) -> Result<Result<Granted, Refusal>, JoinError> {
        let waiter = self.waiter();
        let (gate, patience) = (Arc::clone(self), waiter.patience());
        let decided =
            tokio::task::spawn_blocking(move || gate.decide_held(propose, &patience)).await;
        drop(waiter);
        decided
    }

    /// The same on this thread, for as long as somebody waits for it.
    pub(crate) fn decide_held(
        &self,
        propose: impl Fn() -> Proposed,
        patience: &Patience,
    ) -> Result<Granted, Refusal> {
        loop {
            // From before the verdict on, and no earlier: a policy that came while people were asked is the one that
            // judges now.
            let replaced = self.replaced();
            let refused = match self.judge(propose()) {
                Ok(authorized) => return Ok(Granted { authorized, replaced }),
                Err(refused) => refused,
            };
            match (&refused, self.run.ear.get()) {
                (Refusal::ApprovalRequired { question, .. }, Some(ear))
                    if ear.answers(question, patience) => {}
                _ => return Err(refused),
            }
        }
    }

    /// Tells the gate the person's own words.
    pub(crate) fn heard(&self, caller: &Caller, text: &str) {
        self.pipeline.heard(caller, text);
        if let Some(opinions) = self.run.opinions.get() {
            opinions.heard(&caller.seat().session, text);
        }
    }

    /// Asks somebody else about a call that policy lets through, where the person wants that. What they say can have a person
    /// asked, and nothing else.
    fn weighed(&self, proposed: Proposed) -> Proposed {
        let Some(opinions) = self.run.opinions.get() else { return proposed };
        let caller = proposed.caller().clone();
        let is_call = matches!(proposed.door(), Door::Hook | Door::Mcp | Door::Model);
        if !is_call || !opinions.asks_of_calls() || !self.pipeline.taint(&caller).tainted {
            return proposed;
        }
        let Some(call) = self.pipeline.weigh(&proposed) else { return proposed };
        let Some(doubt) = opinions.of_call(&caller.seat().session, &call) else { return proposed };
        if doubt.is_news {
            let about = opinions.record_of_call(&call.tool, &doubt);
            drop(self.pipeline.remark(&caller, Event::Finding, about));
        }
        match doubt.why {
            Some(why) => proposed.doubted(why),
            None => proposed,
        }
    }

    fn judge(&self, proposed: Proposed) -> Result<Authorized, Refusal> {
        let proposed = self.weighed(proposed);
        let refused = match self.pipeline.decide(proposed) {
            Ok(Decision::Allow(authorized)) => {
                self.run.tally.allowed.fetch_add(1, Ordering::Relaxed);
                return Ok(authorized);
            }
            Ok(Decision::Ask(pending)) => self.pipeline.ask(pending),
            Err(refused) => refused,
        };
        Err(self.refused_so(refused))
    }

    /// Counts what was not allowed, and tells of it.
    fn refused_so(&self, refused: Refusal) -> Refusal {
        let asked = matches!(refused, Refusal::ApprovalRequired { .. });
        let count = if asked { &self.run.tally.asked } else { &self.run.tally.denied };
        count.fetch_add(1, Ordering::Relaxed);
        self.tell(&refused);
        refused
    }

    /// Refuses a request that could not be read, and counts it.
    pub(crate) fn unreadable(&self, caller: &Caller, door: Door, code: &str, what: &str) {
        let refused = self.pipeline.unreadable(caller, door, code, what);
        self.run.tally.denied.fetch_add(1, Ordering::Relaxed);
        self.tell(&refused);
    }

    /// Puts a refusal on the log that a door made by itself, and counts it.
    pub(crate) fn refused_by_door(
        &self,
        caller: &Caller,
        door: Door,
        tool: &str,
        arguments: &Value,
        reference: Option<&str>,
        refused: Refusal,
    ) -> Refusal {
        let refused = self.pipeline.refused(caller, door, tool, arguments, reference, refused);
        self.run.tally.denied.fetch_add(1, Ordering::Relaxed);
        self.tell(&refused);
        refused
    }

    /// Counts of allowed, asked and denied proposals.
    pub(crate) fn tally(&self) -> (u64, u64, u64) {
        let Tally { allowed, asked, denied } = &self.run.tally;
        (
            allowed.load(Ordering::Relaxed),
            asked.load(Ordering::Relaxed),
            denied.load(Ordering::Relaxed),
        )
    }

    /// The refusals so far, each kind once.
    pub(crate) fn refused(&self) -> Vec<Refused> {
        self.run.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, refusal: &Refusal) {
        let (code, sentence) = (refusal.code(), refusal.to_string());
        let mut refused = self.run.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) =
            refused.iter_mut().find(|same| same.code == code && same.sentence == sentence)
        {
            same.times += 1;
            return;
        }
        let new = Refused { code, sentence, hint: refusal.hint(), times: 1 };
        if self.run.aloud {
            // What the agent is to do about it is no business of who reads this, and may be nothing: a call can be kept
            // waiting.
            let said = match refusal {
                Refusal::ApprovalRequired { tool, target, .. } => {
                    format!("a person must approve `{tool}`{target} first")
                }
                _ => new.sentence.clone(),
            };
            report::aloud(&format!("bartizan: {} {said}\n  hint: {}", new.code, new.hint));
        }
        if refused.len() < REMEMBERED {
            refused.push(new);
        }
    }
}

/// From this score on a text is told of on the log.
const TOLD_SCORE: u8 = 83;
/// Most kinds of refusals kept for the summary; all of them are on the log.
const REMEMBERED: usize = 200;
