//! What does the audit log say of it?

use super::project::Project;
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

/// The records of a project's log, oldest first.
#[derive(Debug)]
pub(crate) struct Log(Vec<Value>);

impl Log {
    /// Reads it as a person would: `bartizan audit list --json`.
    pub(crate) fn read(project: &Project) -> Self {
        let listed = project.bartizan(&["audit", "list", "--json"]).finish();
        assert!(listed.status.success(), "{listed:?}");
        Self(listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// The first such record, once it is there: what nobody waits for is on the log soon after it has happened, not before.
    pub(crate) fn await_record(
        project: &Project,
        event: &str,
        test: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let log = Self::read(project);
            if !log.all(event, &test).is_empty() || Instant::now() >= deadline {
                return log.find(event, test);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asserts that the log is whole, by the program's own word, and that its records are what is published of them.
    pub(crate) fn is_whole(&self, project: &Project) {
        let verified = project.bartizan(&["audit", "verify"]).finish();
        assert_eq!(verified.status.code(), Some(0), "{verified:?}");
        assert!(!self.0.is_empty());
        for record in &self.0 {
            super::schema::check(record).unwrap();
        }
    }

    /// All records of an event for which `test` holds.
    pub(crate) fn all(&self, event: &str, test: impl Fn(&Value) -> bool) -> Vec<&Value> {
        self.0.iter().filter(|record| record["event"] == event && test(record)).collect()
    }

    /// The first such record.
    pub(crate) fn find(&self, event: &str, test: impl Fn(&Value) -> bool) -> Value {
        let found = self.all(event, test);
        found
            .first()
            .copied()
            .cloned()
            .unwrap_or_else(|| panic!("no such `{event}` in the log:\n{}", self.text()))
    }

    /// Everything that was refused, or waits for a person.
    pub(crate) fn stopped(&self, test: impl Fn(&Value) -> bool) -> Vec<&Value> {
        let mut found = self.all("refusal", &test);
        found.extend(self.all("pending", &test));
        found
    }

    /// The intent of the call that the client knows as `reference`.
    pub(crate) fn call(&self, reference: &str) -> Value {
        self.find("call", |record| record["reference"] == reference)
    }

    /// The refusal of that call, which must have no intent.
    pub(crate) fn refusal(&self, reference: &str) -> Value {
        let calls = self.all("call", |record| record["reference"] == reference);
        assert!(calls.is_empty(), "call `{reference}` was let through: {calls:?}");
        let refusal = self.find("refusal", |record| record["reference"] == reference);
        assert!(refusal["code"].is_string() && refusal["reason"].is_string(), "{refusal}");
        refusal
    }

    /// The refusal of that call, or the question it waits on.
    pub(crate) fn stopped_call(&self, reference: &str) -> Value {
        let calls = self.all("call", |record| record["reference"] == reference);
        assert!(calls.is_empty(), "call `{reference}` was let through: {calls:?}");
        let stopped = self.stopped(|record| record["reference"] == reference);
        stopped
            .first()
            .copied()
            .cloned()
            .unwrap_or_else(|| panic!("call `{reference}` is not on the log"))
    }

    /// What became of a call.
    pub(crate) fn outcome(&self, call: &Value) -> Value {
        self.find("outcome", |record| record["call"] == call["call"])
    }

    /// One line per record, short enough to be read in a failed test.
    fn text(&self) -> String {
        let keys = ["seq", "event", "hook", "tool", "reference", "verdict", "code", "arguments"];
        let line = |record: &Value| {
            let mut line: String = keys
                .map(|key| &record[key])
                .iter()
                .filter(|value| !value.is_null())
                .fold(String::new(), |line, value| line + " " + &value.to_string());
            line.truncate(line.floor_char_boundary(200));
            line
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}
