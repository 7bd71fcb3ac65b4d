//! What does the gate keep of a session, from its start to its end? Its seat, what it has heard and read, and what the
//! rules have found in it.

use super::Pipeline;
use crate::refusal::Refusal;
use crate::seat::{Caller, Seat};
use crate::taint::{Impression, Reading, Taint, Trust};
use crate::watch::{Flag, OnFlag};
use bartizan_store::{Digest, Ending, NewSession};
use serde_json::{Map, Value, json};

impl Pipeline {
    /// Gives a session its seat, once its start is on the log. `facts` goes into that record.
    pub fn admit(
        &self,
        seat: Seat,
        argv: &[String],
        facts: Map<String, Value>,
    ) -> Result<Caller, Refusal> {
        let facts = match self.redacted(Value::Object(facts)) {
            Value::Object(facts) => facts,
            _ => Map::new(),
        };
        let begun = self.parts.sessions.begin(NewSession {
            id: seat.session.to_string(),
            agent: seat.role.to_string(),
            workspace: seat.workspace.to_string(),
            argv: argv.iter().map(|word| self.parts.redactor.redact(word).text).collect(),
            facts,
        });
        match begun {
            Ok(_) => {
                let caller = Caller::new(seat);
                // Whoever starts a session says its command.
                caller.memory().heard(&argv.join(" "));
                Ok(caller)
            }
            Err(error) => Err(Refusal::LedgerUnavailable { cause: error.to_string() }),
        }
    }

    /// Puts a session's end on the log; `report` is the summary that is kept with it.
    pub fn dismiss(
        &self,
        caller: &Caller,
        exit: Option<i32>,
        mut report: Value,
    ) -> Result<(), Refusal> {
        let left_out = self.pace.left_out();
        if let Some(report) = report.as_object_mut().filter(|_| left_out > 0) {
            report.insert("refusals_left_out".to_owned(), json!(left_out));
        }
        let ending = Ending { exit, report: self.redacted(report) };
        let session = caller.seat().session.as_str();
        self.watches.close(session);
        match self.parts.sessions.end(session, ending) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::LedgerUnavailable { cause: error.to_string() }),
        }
    }

    /// The session's person has said this, in their own words. Only a door that knows it calls this: what a client
    /// puts between a person's words is none of them, nor is what one agent says to another.
    pub fn heard(&self, caller: &Caller, text: &str) {
        caller.memory().heard(text);
    }

    /// The session has read this, and is tainted if nobody vouches for it. Gives how much it looks like
    /// orders; nothing when the session had read the same before.
    pub fn read(&self, caller: &Caller, reading: &Reading<'_>) -> Option<Impression> {
        caller.memory().read(reading)
    }

    /// Somebody else, who was asked about a text that [`Pipeline::read`] gave an impression of, says how much it looks like
    /// orders. It can only raise what is known of it.
    pub fn advised(&self, caller: &Caller, text: Digest, score: u8) {
        caller.memory().advised(text, score);
    }

    /// Who vouches for what a tool returns; nobody for an unknown one.
    pub fn trust_of(&self, tool: &str) -> Trust {
        self.parts.catalogue.get(tool).map_or(Trust::Untrusted, |tool| tool.returns())
    }

    /// What the rules have found in the session so far.
    pub fn flags(&self, caller: &Caller) -> Vec<Flag> {
        self.watches.raised(caller.seat().session.as_str())
    }

    /// What happens when a rule of high severity flags a run.
    pub fn on_flag(&self) -> OnFlag {
        self.parts.rules.on_flag
    }

    /// What the session has read so far.
    pub fn taint(&self, caller: &Caller) -> Taint {
        caller.memory().taint()
    }
}
