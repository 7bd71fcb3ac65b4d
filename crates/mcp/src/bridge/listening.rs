//! Which changes does the server tell us of? One stream at a time, asked for anew when more is wanted and when it breaks.

use bartizan_scan::json::{View, quoted};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// The streams of one server's changes.
#[derive(Debug)]
pub(super) struct Listening {
    /// Which lists' changes it tells of.
    lists: Vec<&'static str>,
    resources: BTreeSet<String>,
    /// The stream that was asked for last, by its request's id.
    newest: Option<i64>,
    /// Those that it takes the place of, once it is there.
    older: Vec<i64>,
    acknowledged: bool,
    pause: Duration,
    again: Option<Instant>,
}

impl Listening {
    /// What a server that can do this tells of.
    pub(super) fn to(capabilities: Option<View<'_>>) -> Self {
        let tells = |of: &str| {
            let said = capabilities.and_then(|said| said.get(of)?.get("listChanged"));
            said.is_some_and(|said| said.raw() == "true")
        };
        let lists = LISTS.iter().filter(|(_, of)| tells(of)).map(|(flag, _)| *flag).collect();
        Self {
            lists,
            resources: BTreeSet::new(),
            newest: None,
            older: Vec::new(),
            acknowledged: false,
            pause: PAUSE,
            again: None,
        }
    }

    /// Notes that a resource's changes are wanted, or are not any more; says whether that is new.
    pub(super) fn want(&mut self, uri: &str, wanted: bool) -> bool {
        if wanted {
            self.resources.len() < RESOURCES_MAX && self.resources.insert(uri.to_owned())
        } else {
            self.resources.remove(uri)
        }
    }

    /// When it is to be asked for anew.
    pub(super) fn due(&self) -> Option<Instant> {
        self.again
    }

    /// The parameters of a request for what is wanted, which has this id. `None` when nothing is.
    pub(super) fn ask(&mut self, id: i64) -> Option<String> {
        self.again = None;
        self.older.extend(self.newest.take());
        let mut parts: Vec<String> =
            self.lists.iter().map(|flag| format!("\"{flag}\":true")).collect();
        if !self.resources.is_empty() {
            let uris: Vec<String> = self.resources.iter().map(|uri| quoted(uri)).collect();
            parts.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        self.acknowledged = false;
        if parts.is_empty() {
            return None;
        }
        self.newest = Some(id);
        Some(format!("{{\"notifications\":{{{}}}}}", parts.join(",")))
    }

    /// The server has taken up a stream: those that it takes the place of are to end.
    pub(super) fn acknowledged(&mut self, id: i64) -> Vec<i64> {
        if self.newest != Some(id) {
            return Vec::new();
        }
        self.acknowledged = true;
        self.pause = PAUSE;
        std::mem::take(&mut self.older)
    }

    /// The streams of which nothing is wanted any more.
    pub(super) fn left(&mut self) -> Vec<i64> {
        if self.newest.is_none() { std::mem::take(&mut self.older) } else { Vec::new() }
    }

    /// A stream has ended, or there is none; says whether it was one.
    pub(super) fn ended(&mut self, id: i64, refused: bool) -> bool {
        let known = self.older.len();
        self.older.retain(|older| *older != id);
        if self.newest != Some(id) {
            return self.older.len() < known;
        }
        self.newest = None;
        // A server that refuses what it never took up would refuse it again.
        if self.acknowledged || !refused {
            self.again = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        true
    }
}

/// The lists whose changes a server may tell of: the wish, and the capability.
const LISTS: [(&str, &str); 3] = [
    ("promptsListChanged", "prompts"),
    ("resourcesListChanged", "resources"),
    ("toolsListChanged", "tools"),
];
/// Resources whose changes may be wanted at a time.
const RESOURCES_MAX: usize = 1024;
/// The pause before a stream that broke is asked for anew; each that does not hold doubles it.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_mins(1);
