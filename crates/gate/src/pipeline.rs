//! How does a proposal travel? `decide`, `ask` (in `asking`), `perform` or `delegate`, `release`: read this file first.

mod asking;
mod deferring;
mod foreseen;
mod hold;
mod pace;
mod session;
mod weighing;

pub use weighing::Weighed;

use crate::call::{
    Authorized, CheckedCall, Decision, Delegated, Door, Ended, Executed, Outcome, Pending,
    Proposed, Released,
};
use crate::effect::{Content, Effector, Warrant};
use crate::gates::approval::{self, Clearance, Cleared, People, Waits};
use crate::gates::{Identified, Listed, Scoped, grant, identity, limit, list, risk, scope};
use crate::limit::Limits;
use crate::name::{CallId, SessionId, ToolName};
use crate::policy::{Judgement, Policy};
use crate::record::{self, Known};
use crate::refusal::Refusal;
use crate::seat::Caller;
use crate::taint;
use crate::tool::{Catalogue, Effect};
use crate::watch::{Rules, Watches};
use bartizan_scan::Redactor;
use bartizan_store::{Allowances, Desk, Durability, Event, Ledger, Receipt, Sessions};
use pace::Pace;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Everything the gate stands on; put together once, by the application.
#[derive(Clone)]
pub struct Parts {
    /// The tools that are defined.
    pub catalogue: Arc<Catalogue>,
    /// What is allowed, until another policy [takes its place](Pipeline::replace).
    pub policy: Arc<Policy>,
    /// The audit log.
    pub ledger: Arc<dyn Ledger>,
    /// Where people answer.
    pub desk: Arc<dyn Desk>,
    /// Where sessions begin and end.
    pub sessions: Arc<dyn Sessions>,
    /// How often tools may be called.
    pub limits: Arc<Limits>,
    /// Where calls are counted.
    pub allowances: Arc<dyn Allowances>,
    /// Hides secrets in whatever is recorded or returned.
    pub redactor: Arc<Redactor>,
    /// What shows that a run has turned.
    pub rules: Arc<Rules>,
    /// How long a question stays open.
    pub question_lifetime: Duration,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The gate.
#[derive(Debug)]
pub struct Pipeline {
    parts: Parts,
    /// The policy in force. Each decision takes it once, and is about that one throughout.
    policy: RwLock<Arc<Policy>>,
    watches: Arc<Watches>,
    pace: Arc<Pace>,
    remarks: Arc<Pace>,
    calls: AtomicU64,
    /// Tells this process's call ids from those of others that write the same log.
    run: String,
}

impl Pipeline {
    /// Builds the gate; `run` is unique to this process in its log.
    pub fn new(parts: Parts, run: String) -> Self {
        let policy = RwLock::new(Arc::clone(&parts.policy));
        let watches = Arc::new(Watches::new(Arc::clone(&parts.rules)));
        let (pace, remarks) = (Arc::default(), Arc::default());
        Self { parts, policy, watches, pace, remarks, calls: AtomicU64::new(0), run }
    }

    /// Builds another gate for sessions of this one, over other tools. What the rules see at either holds at both: a run that
    /// is paused is paused everywhere.
    #[must_use]
    pub fn beside(&self, parts: Parts, run: String) -> Self {
        let policy = RwLock::new(Arc::clone(&parts.policy));
        let (watches, pace) = (Arc::clone(&self.watches), Arc::clone(&self.pace));
        let remarks = Arc::clone(&self.remarks);
        Self { parts, policy, watches, pace, remarks, calls: AtomicU64::new(0), run }
    }

    /// Leads a proposal through every gate, in order. A refusal is on the log before it is returned;
    /// an `Allow` is durable on the log before it exists.
    pub fn decide(&self, proposed: Proposed) -> Result<Decision, Refusal> {
        let session = proposed.caller.seat().session.clone();
        let id = self.next_call()?;
        let mut known = Known::proposal(
            &proposed.door,
            &proposed.tool,
            &record::veiled(&proposed.arguments, proposed.veiled),
            proposed.reference.as_deref(),
        );
        let cleared =
            self.check(proposed, &mut known, People::Count).and_then(|(call, clearance)| {
                match clearance {
                    Clearance::Clear(cleared) => self.authorize(&id, call, cleared, &mut || {}),
                    Clearance::Wait { quorum } => {
                        Ok(Decision::Ask(Pending { call: id.clone(), checked: call, quorum }))
                    }
                }
            });
        cleared.map_err(|refused| self.refuse(&session, &id, known, refused))
    }

    /// Refuses a request that could not be read as a proposal, and puts the attempt on the log.
    pub fn unreadable(&self, caller: &Caller, door: Door, code: &str, what: &str) -> Refusal {
        let refused = Refusal::RequestUnreadable { code: code.to_owned(), what: what.to_owned() };
        let known = Known::proposal(&door, "unreadable", &json!({ "code": code }), None);
        match self.next_call() {
            Ok(id) => self.refuse(&caller.seat().session, &id, known, refused),
            Err(refused) => refused,
        }
    }

    /// Puts a refusal on the log that a door had to make by itself, of a call that no gate need judge any more:
    /// a budget that is spent, a session that is stopped.
    pub fn refused(
        &self,
        caller: &Caller,
        door: Door,
        tool: &str,
        arguments: &Value,
        reference: Option<&str>,
        refused: Refusal,
    ) -> Refusal {
        let known = Known::proposal(&door, tool, arguments, reference);
        match self.next_call() {
            Ok(id) => self.refuse(&caller.seat().session, &id, known, refused),
            Err(refused) => refused,
        }
    }

    /// What the gate would say, without a record and without an act: for `policy explain`.
    pub fn explain(&self, proposed: Proposed) -> Result<Judgement, Refusal> {
        let who = identity::check(&proposed.caller, proposed.subagent.as_ref())?;
        let policy = self.policy();
        let seat = proposed.caller.seat();
        let listed = list::check(&self.parts.catalogue, &policy, &who, seat, &proposed.tool)?;
        let mut scoped = scope::check(&who, &listed, proposed.caller.seat(), proposed.arguments)?;
        scoped.trace(origins(&policy, &proposed.caller, &who, &listed, &scoped));
        Ok(approval::judge(&policy, &who, &listed, &scoped, &[]))
    }

    /// Performs an authorised call. If the returned future is dropped in mid-effect, the log says so.
    pub async fn perform<E: Effector>(
        &self,
        authorized: Authorized,
        effector: E,
    ) -> Executed<E::Output> {
        let mut guard = AbandonGuard { pipeline: self, authorized: Some(&authorized) };
        let (outcome, output) = effector.run(&Warrant::new(&authorized)).await;
        guard.authorized = None;
        drop(guard);
        Executed { session: authorized.session().clone(), call: authorized.call, outcome, output }
    }

    /// Hands the call to the client, which acts in our stead.
    pub fn delegate(&self, authorized: Authorized) -> Delegated {
        Delegated { authorized }
    }

    /// What the client says came of a delegated call.
    pub fn returned(
        &self,
        delegated: Delegated,
        outcome: Outcome,
        output: String,
    ) -> Executed<String> {
        let authorized = delegated.authorized;
        Executed { session: authorized.session().clone(), call: authorized.call, outcome, output }
    }

    /// The way out: the outcome goes on the log, the output is scrubbed, and only then can it be read.
    pub fn release<T: Content>(&self, executed: Executed<T>) -> Result<Released<T>, Refusal> {
        let Executed { call, session, outcome, output } = executed;
        let entry = record::outcome(&self.parts.redactor, &session, &call, &outcome);
        let redactor = &self.parts.redactor;
        let scrubbed = output.scrub(&|text| redactor.redact(text).text);
        self.append(entry, Durability::Soon).map(|_receipt| Released { output: scrubbed, outcome })
    }

    /// Writes a record that is not about a call.
    pub fn note(
        &self,
        caller: &Caller,
        event: Event,
        about: Map<String, Value>,
    ) -> Result<Receipt, Refusal> {
        let entry = record::plain(&self.parts.redactor, event, &caller.seat().session, about);
        self.append(entry, Durability::Soon)
    }

    /// Writes a record of something that the agent's side can have happen without end, and that no call stands behind. Of one
    /// event only so much is written at once and over time; the rest is counted, told with the next, and seen by the rules.
    pub fn remark(
        &self,
        caller: &Caller,
        event: Event,
        about: Map<String, Value>,
    ) -> Result<(), Refusal> {
        self.remark_of(caller, event.as_str(), event, about)
    }

    /// The same for one kind of an event's remarks, of which a flood hides none of another kind.
    pub fn remark_of(
        &self,
        caller: &Caller,
        kind: &'static str,
        event: Event,
        about: Map<String, Value>,
    ) -> Result<(), Refusal> {
        let session = &caller.seat().session;
        let bytes = about.iter().fold(0, |sum, (key, value)| sum + key.len() + size(value));
        let mut entry = record::plain(&self.parts.redactor, event, session, about);
        let weight = u64::try_from(1 + bytes / pace::USUAL_BYTES).unwrap_or(u64::MAX);
        match self.remarks.turn_of(kind, weight, Instant::now()) {
            None => self.raise(session, &self.watches.see(&entry)),
            Some(left_out) => {
                if left_out > 0 {
                    entry = entry.with("left_out", left_out);
                }
                self.append(entry, Durability::Soon).map(|_receipt| ())
            }
        }
    }

    /// Whether to show a tool to whoever sits there: false only when no call of it could ever be
    /// allowed or asked. What is shown may still be denied when it is called.
    pub fn offers(&self, caller: &Caller, tool: &str) -> bool {
        self.parts.catalogue.get(tool).is_some_and(|tool| self.may_ever(caller, tool.name()))
    }

    /// Whether the policy could ever let whoever sits there call a tool of this name, and the session is not narrowed to others.
    pub fn may_ever(&self, caller: &Caller, tool: &ToolName) -> bool {
        let seat = caller.seat();
        let within = seat.only.as_ref().is_none_or(|only| only.contains(tool));
        within && self.policy().may_ever(&seat.role, tool)
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tools that policies are about.
    pub fn catalogue(&self) -> &Catalogue {
        &self.parts.catalogue
    }

    /// Puts another policy in force, for every decision from now on, once that is on the log. It has to be made over the
    /// same [`Pipeline::catalogue`]. What was decided stays decided: it is for the doors to end what goes on.
    pub fn replace(&self, caller: &Caller, policy: Policy) -> Result<(), Refusal> {
        let mut about = Map::new();
        about.insert("act".to_owned(), json!("policy"));
        about.insert("from".to_owned(), json!(self.policy().digest().to_string()));
        about.insert("to".to_owned(), json!(policy.digest().to_string()));
        let session = &caller.seat().session;
        let entry = record::plain(&self.parts.redactor, Event::ConfigChange, session, about);
        let _receipt = self.append(entry, Durability::Durable)?;
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        Ok(())
    }

    fn check(
        &self,
        proposed: Proposed,
        known: &mut Known,
        people: People,
    ) -> Result<(CheckedCall, Clearance), Refusal> {
        let Proposed { caller, door, subagent, tool, arguments, reference, veiled, again, doubted } =
            proposed;
        let Parts { catalogue, desk, limits, allowances, .. } = &self.parts;
        let policy = self.policy();
        let seat = caller.seat();
        let identified = identity::check(&caller, subagent.as_ref())?;
        known.agent(identified.agent().as_str(), identified.role().as_str());
        let listed = list::check(catalogue, &policy, &identified, seat, &tool)?;
        let mut scoped = scope::check(&identified, &listed, seat, arguments)?;
        scoped.trace(origins(&policy, &caller, &identified, &listed, &scoped));
        let rated = risk::rate(&listed, &scoped);
        let granted = grant::compute(&listed, &scoped, seat);
        let stands = self.stands(&policy, &identified, &listed, rated.effect())?;
        let asks = stands || doubted.is_some() || again.is_some();
        let deferred = again.map(|again| deferring::of(seat, again.conversation, again.call));
        let limited = limit::check(limits, allowances.as_ref(), &identified, &listed)?;
        let desk = desk.as_ref();
        let waits = Waits { asks, deferred: deferred.as_ref(), people };
        let clearance = approval::clear(&policy, desk, &identified, &listed, &mut scoped, waits)?;
        if matches!(clearance, Clearance::Clear(_)) {
            remember(&caller, door, &listed, &scoped);
        }
        let checked = CheckedCall {
            policy,
            door,
            reference,
            veiled,
            doubted,
            identified,
            listed,
            scoped,
            rated,
            granted,
            limited,
        };
        Ok((checked, clearance))
    }

    fn authorize(
        &self,
        id: &CallId,
        call: CheckedCall,
        cleared: Cleared,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Decision, Refusal> {
        let durability = durability(&call, &cleared);
        let entry = record::intent(&self.parts.redactor, id, &call, &cleared);
        // A call that turns the run is itself held; one that a person has approved is not.
        let flags = self.watches.see(&entry);
        if !flags.is_empty() {
            self.raise(call.identified.session(), &flags)?;
            if cleared.approvers().is_empty() && self.hold(&call)? {
                return Ok(Decision::Ask(Pending { call: id.clone(), checked: call, quorum: 1 }));
            }
        }
        let receipt = if call.limited.counts() {
            let receipt = call.limited.count(self.parts.allowances.as_ref(), entry)?;
            meanwhile();
            receipt
        } else {
            let written = self.parts.ledger.append_during(entry, durability, meanwhile);
            written.map_err(|error| Refusal::LedgerUnavailable { cause: error.to_string() })?
        };
        let CheckedCall {
            door,
            reference,
            identified,
            listed,
            scoped,
            rated,
            granted,
            limited,
            ..
        } = call;
        let call = id.clone();
        Ok(Decision::Allow(Authorized {
            call,
            door,
            reference,
            identified,
            listed,
            scoped,
            rated,
            cleared,
            granted,
            _limited: limited,
            receipt,
        }))
    }

    fn redacted(&self, mut value: Value) -> Value {
        self.parts.redactor.redact_json(&mut value);
        value
    }

    /// Records a refusal, unless so many of its kind were recorded lately that it is only counted. When the log fails, the
    /// answer is that it is gone: still a refusal.
    fn refuse(&self, session: &SessionId, id: &CallId, known: Known, refused: Refusal) -> Refusal {
        let mut entry = record::refusal(&self.parts.redactor, session, id, known, &refused);
        let recorded = match self.pace.turn(refused.code(), Instant::now()) {
            None => self.raise(session, &self.watches.see(&entry)),
            Some(left_out) => {
                if left_out > 0 {
                    entry = entry.with("left_out", left_out);
                }
                self.append(entry, Durability::Durable).map(|_receipt| ())
            }
        };
        match recorded {
            Ok(()) => refused,
            Err(ledger) => ledger,
        }
    }

    /// Writes a record, and whatever the rules say of it.
    fn append(
        &self,
        entry: bartizan_store::Entry,
        durability: Durability,
    ) -> Result<Receipt, Refusal> {
        let flags = self.watches.see(&entry);
        let session = entry.session.clone();
        let receipt = self.commit(entry, durability)?;
        if let Some(Ok(session)) = session.as_deref().map(SessionId::parse) {
            self.raise(&session, &flags)?;
        }
        Ok(receipt)
    }

    fn commit(
        &self,
        entry: bartizan_store::Entry,
        durability: Durability,
    ) -> Result<Receipt, Refusal> {
        let written = self.parts.ledger.append(entry, durability);
        written.map_err(|error| Refusal::LedgerUnavailable { cause: error.to_string() })
    }

    fn next_call(&self) -> Result<CallId, Refusal> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        CallId::parse(&format!("{}.{number}", self.run)).map_err(|_| Refusal::AgentUnknown)
    }
}

/// About how long a value is on the log, in bytes.
fn size(value: &Value) -> usize {
    value.as_str().map_or_else(|| value.to_string().len(), str::len)
}

fn origins(
    policy: &Policy,
    caller: &Caller,
    who: &Identified,
    listed: &Listed,
    scoped: &Scoped,
) -> taint::Origins {
    let tool = listed.tool();
    // Named for an ancestor alone is not named: its policy would have to permit the call as well.
    let named =
        |value: &str| who.chain().iter().all(|one| policy.names(&one.role, tool.name(), value));
    let (arguments, facts) = (scoped.arguments(), scoped.facts());
    taint::trace(caller.memory(), tool, arguments, facts, caller.seat(), &named)
}

/// What a call leaves in the session's memory: a connection brings in what nobody has seen, and what an agent writes for
/// later or for another is not its person's word when it comes back.
fn remember(caller: &Caller, door: Door, listed: &Listed, scoped: &Scoped) {
    if let (Door::Net, Some(host)) = (door, scoped.host()) {
        caller.memory().reached(&host.host().to_string());
    }
    if listed.tool().speaks() {
        let texts = scoped.arguments().as_object().into_iter().flat_map(Map::values);
        texts.filter_map(Value::as_str).for_each(|text| caller.memory().wrote(text));
    }
}

/// Everything but a read that nobody had to approve is on the disk before it happens; so is each new
/// process, connection and use of a secret, whatever its effect.
fn durability(call: &CheckedCall, cleared: &Cleared) -> Durability {
    let read = call.rated.effect() == Effect::Read;
    let quiet = cleared.approvers().is_empty() && call.granted.secret().is_none();
    match call.door {
        // The connection it travels on is on the disk.
        Door::Net if call.scoped.is_safe_request() && quiet => Durability::Soon,
        Door::Hook | Door::Mcp | Door::Model if read && quiet => Durability::Soon,
        Door::Explain
        | Door::Hook
        | Door::Mcp
        | Door::Model
        | Door::Net
        | Door::Run
        | Door::Tool => Durability::Durable,
    }
}

/// Writes "abandoned" when an effect's future is dropped before it ended.
struct AbandonGuard<'a> {
    pipeline: &'a Pipeline,
    authorized: Option<&'a Authorized>,
}

impl Drop for AbandonGuard<'_> {
    fn drop(&mut self) {
        if let Some(authorized) = self.authorized {
            let outcome = Outcome { ended: Ended::Abandoned, code: None, details: json!({}) };
            let redactor = &self.pipeline.parts.redactor;
            let entry = record::outcome(redactor, authorized.session(), &authorized.call, &outcome);
            // A log that cannot take this has already stopped the session; an intent without an
            // outcome reads "unknown", which is what this is.
            drop(self.pipeline.append(entry, Durability::Soon));
        }
    }
}

/// How much of a question's id people type; the desk takes any unique beginning.
const SHORT_ID: usize = 8;
