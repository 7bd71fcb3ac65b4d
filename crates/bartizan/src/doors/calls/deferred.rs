//! Which call of the session waits for the next run? At most one: its client ends the turn with it, and keeps only one of
//! several.

use super::{Act, Calls};
use bartizan_store::Digest;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// On what terms a call is put off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How long it waits for a person first.
    pub(crate) after: Duration,
    /// How long its question can be answered then, and the answer be used.
    pub(crate) life: Duration,
}

/// A call that is put off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PutOff {
    /// The client's id of it.
    pub(crate) call: String,
    /// What it would do.
    pub(crate) tool: String,
    /// The client's id of the conversation.
    pub(crate) conversation: String,
    /// The beginning of the question's id.
    pub(crate) question: String,
    /// What its client is told.
    pub(crate) sentence: String,
    act: Digest,
}

impl PutOff {
    /// A call of `conversation` that waits for an answer to `question`.
    pub(crate) fn new(call: &str, act: &Act, conversation: &str, question: &str) -> Self {
        Self {
            call: call.to_owned(),
            tool: act.tool().to_owned(),
            conversation: conversation.to_owned(),
            question: question.to_owned(),
            sentence: String::new(),
            act: act.digest(),
        }
    }

    /// With what its client is told.
    pub(crate) fn saying(mut self, sentence: impl Into<String>) -> Self {
        self.sentence = sentence.into();
        self
    }
}

/// What the session puts off.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Nothing when its client cannot put calls off.
    terms: OnceLock<Terms>,
    /// Its hook has been heard: without one the client would carry out what it shall put off.
    hook: AtomicBool,
    /// The client was bypassed.
    stopped: AtomicBool,
    /// Somebody waits for the one place.
    is_busy: AtomicBool,
    call: Mutex<Option<PutOff>>,
    /// Its client has been told.
    is_told: AtomicBool,
}

/// The one place for a call that may be put off; free again when it is dropped empty.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    of: &'a Deferred,
    terms: Terms,
}

impl Place<'_> {
    /// On what terms.
    pub(crate) fn terms(&self) -> Terms {
        self.terms
    }

    fn take(&self, call: PutOff) {
        *self.of.lock() = Some(call);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.of.is_busy.store(false, Ordering::SeqCst);
    }
}

impl Deferred {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<PutOff>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// From now on a call can be put off, where the client's hook is heard.
    pub(crate) fn defers(&self, terms: Terms) {
        self.deferred.terms.get_or_init(|| terms);
    }

    /// The client's hook has spoken.
    pub(crate) fn hook_is_heard(&self) {
        self.deferred.hook.store(true, Ordering::SeqCst);
    }

    /// The client was bypassed: nothing of the session is put off any more.
    pub(crate) fn stop(&self) {
        self.deferred.stopped.store(true, Ordering::SeqCst);
    }

    /// On what terms a call can be put off now; nothing when none can.
    pub(crate) fn terms(&self) -> Option<Terms> {
        let Deferred { terms, hook, stopped, .. } = &self.deferred;
        let can = hook.load(Ordering::SeqCst) && !stopped.load(Ordering::SeqCst);
        terms.get().copied().filter(|_| can)
    }

    /// The place for a call that may be put off, if there is one now.
    pub(crate) fn place(&self) -> Option<Place<'_>> {
        let (deferred, terms) = (&self.deferred, self.terms()?);
        if deferred.is_busy.swap(true, Ordering::SeqCst) {
            return None;
        }
        let place = Place { of: deferred, terms };
        let is_free = deferred.lock().is_none();
        is_free.then_some(place)
    }

    /// The model door puts a call off: the client gets it, and its hook says so.
    pub(crate) fn defer(&self, place: &Place<'_>, act: &Act, call: PutOff) {
        self.write(&call.call, None, act, |entry| {
            entry.judge(act, false, true);
        });
        self.remember_deferred(&call.call, act);
        place.take(call);
    }

    /// The hook puts off a call that an earlier run had put off.
    pub(crate) fn defer_again(&self, place: &Place<'_>, act: &Act, call: PutOff) {
        self.remember_deferred(&call.call, act);
        place.take(call);
    }

    /// The call that is put off, if it is this one.
    pub(crate) fn put_off_as(&self, id: &str, act: &Act) -> Option<PutOff> {
        let call = self.deferred.lock().clone()?;
        (call.call == id && call.act == act.digest()).then_some(call)
    }

    /// Its client has been told to put it off.
    pub(crate) fn told_to_defer(&self) {
        self.deferred.is_told.store(true, Ordering::SeqCst);
    }

    /// What the client was told to put off.
    pub(crate) fn put_off(&self) -> Option<PutOff> {
        let call = self.deferred.lock().clone();
        call.filter(|_| self.deferred.is_told.load(Ordering::SeqCst))
    }

    /// Whether an earlier session put off a call of this id.
    pub(crate) fn was_deferred(&self, id: &str) -> bool {
        self.past.as_ref().is_some_and(|past| past.was_deferred(id))
    }

    /// Whether it put off exactly this call, and nothing has become of it since.
    pub(crate) fn was_deferred_as(&self, id: &str, act: &Act) -> bool {
        self.past
            .as_ref()
            .is_some_and(|past| past.knows(id, act) && past.tool(id).as_deref() == Some(DEFERRED))
    }

    fn remember_deferred(&self, id: &str, act: &Act) {
        if let Some(past) = &self.past {
            past.remember(id, &act.called(DEFERRED));
        }
    }
}

/// The name under which a call that was put off is remembered: no client has such a tool.
pub(super) const DEFERRED: &str = "bartizan_deferred";

#[cfg(test)]
mod tests {
    use super::super::{Answered, Past, Seen, TakeUp};
    use super::*;
    use serde_json::json;

    const TERMS: Terms = Terms { after: Duration::ZERO, life: Duration::from_hours(1) };

    fn act(command: &str) -> Act {
        Act::of("Bash", &json!({ "command": command }), "/w")
    }

    fn put_off(calls: &Calls, id: &str, command: &str) {
        let place = calls.place().unwrap();
        calls.defer(&place, &act(command), PutOff::new(id, &act(command), "c-1", "abcd"));
    }

    #[test]
    fn nothing_is_put_off_without_terms_or_a_hook_and_one_call_at_most() {
        let calls = Calls::default();
        calls.hook_is_heard();
        assert!(calls.place().is_none(), "its client cannot");
        let calls = Calls::default();
        calls.defers(TERMS);
        assert!(calls.place().is_none(), "no hook would tell the client");
        calls.hook_is_heard();
        let place = calls.place().unwrap();
        assert!(calls.place().is_none(), "one waits already");
        drop(place);
        put_off(&calls, "toolu_1", "ls");
        assert!(calls.place().is_none(), "one is put off already");
        assert_eq!(calls.put_off(), None, "its client does not know");
        calls.told_to_defer();
        assert_eq!(calls.put_off().map(|call| call.call).as_deref(), Some("toolu_1"));
    }

    #[test]
    fn a_session_that_was_stopped_puts_nothing_off() {
        let calls = Calls::default();
        calls.defers(TERMS);
        calls.hook_is_heard();
        calls.stop();
        assert!(calls.place().is_none());
    }

    #[test]
    fn what_was_put_off_has_not_happened() {
        let calls = Calls::default();
        calls.defers(TERMS);
        calls.hook_is_heard();
        put_off(&calls, "toolu_1", "ls");
        assert_eq!(calls.take_up("toolu_1", None, &act("ls")), TakeUp::Unjudged);
        assert!(calls.put_off_as("toolu_1", &act("ls")).is_some());
        assert!(calls.put_off_as("toolu_1", &act("rm")).is_none(), "other arguments");
        assert!(calls.put_off_as("toolu_2", &act("ls")).is_none(), "another call");
        assert_eq!(calls.seen("toolu_1", || Some(act("ls")), "Bash"), Seen::Judged);
        assert_eq!(calls.answered("toolu_1", false), Answered::Refused, "it ran all the same");
        assert_eq!(calls.answered("toolu_1", true), Answered::Allowed("Bash".to_owned()));
    }

    #[test]
    fn the_next_session_knows_it_as_one_that_has_not_happened() {
        let folder = tempfile::tempdir().unwrap();
        let first = Calls::after(Past::open(folder.path(), "w").unwrap());
        first.defers(TERMS);
        first.hook_is_heard();
        put_off(&first, "toolu_1", "ls");
        let second = Calls::after(Past::open(folder.path(), "w").unwrap());
        assert!(second.was_deferred("toolu_1") && !second.was_deferred("toolu_2"));
        assert_eq!(second.seen("toolu_1", || Some(act("ls")), "Bash"), Seen::Judged);
        assert_eq!(second.seen("toolu_1", || Some(act("rm")), "Bash"), Seen::Unknown);
        // A result that nobody allowed in this session, or in any.
        assert_eq!(second.answered("toolu_1", false), Answered::Refused);
        assert!(matches!(second.answered("toolu_1", true), Answered::Allowed(_)));
        // Once it was allowed and has happened, the next one knows that too, and that it was put off before.
        second.recall("toolu_1", &act("ls"));
        let third = Calls::after(Past::open(folder.path(), "w").unwrap());
        assert!(third.was_deferred("toolu_1"));
        assert_eq!(third.answered("toolu_1", false), Answered::Allowed("Bash".to_owned()));
        assert_eq!(third.seen("toolu_1", || Some(act("ls")), "Bash"), Seen::Judged);
    }
}
