//! What does a person learn when the policies do not fit a server's tools, so that none of them can be judged?

use crate::app::Gate;
use crate::report::{Failure, Problem, safe};
use bartizan_gate::seat::Caller;
use bartizan_store::Event;
use serde_json::{Map, json};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells of one server's tools, once for each way in which the policies do not fit them.
pub(super) struct Unfit {
    gate: Arc<Gate>,
    caller: Caller,
    server: String,
    told: Mutex<Option<Failure>>,
}

impl Unfit {
    pub(super) fn of(gate: &Arc<Gate>, caller: &Caller, server: &str) -> Self {
        let (gate, caller) = (Arc::clone(gate), caller.clone());
        Self { gate, caller, server: server.to_owned(), told: Mutex::default() }
    }

    /// Tells the person and the log. What the client is told names the policy's tool and not the person's files.
    pub(super) fn tell(&self, failure: Failure) -> String {
        let words = failure.in_words();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&failure) {
            self.say(&failure);
            self.note(&failure);
            *told = Some(failure);
        }
        format!(
            "the policies do not fit the tools of server `{}`, so none of them can be judged: {words}; \
             whoever runs this gateway has to mend them: bartizan policy check",
            self.server
        )
    }

    fn say(&self, failure: &Failure) {
        let server = safe(&self.server);
        self.gate.say(&format!(
            "bartizan: no tool of `{server}` can be judged: the policies do not fit the tools that were accepted\n{}\
             \x20 hint: mend them, look with `bartizan policy check`, and bring them into force with `bartizan policy reload`",
            failure.in_lines()
        ));
    }

    fn note(&self, failure: &Failure) {
        let places: Vec<_> = failure.problems.iter().filter_map(Problem::place).collect();
        let mut about = Map::new();
        about.insert("act".to_owned(), json!("policy-unfit"));
        about.insert("server".to_owned(), json!(self.server));
        about.insert("why".to_owned(), json!(failure.in_words()));
        about.insert("places".to_owned(), json!(places));
        drop(self.gate.pipeline().note(&self.caller, Event::ConfigChange, about));
    }
}
