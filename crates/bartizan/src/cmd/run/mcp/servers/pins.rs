//! Is what a configured server lists what a person accepted? Its tools become a gate, and all else is let through by name.

use super::super::super::ground::gate_beside;
use super::super::told;
use super::keeper::Keeper;
use crate::app::Gate;
use crate::cmd::servers as known_servers;
use crate::config::own;
use crate::config::{Config, McpServer, Pin};
use crate::doors::mcp::tools::{Generation, Maker, marks, shaped};
use crate::doors::mcp::words::{Look, Words};
use bartizan_gate::name::{ServerName, SessionId};
use bartizan_gate::tool::upstream_name;
use bartizan_mcp::catalog::{Judged, Kind, Memory, Sight, Standing};
use bartizan_mcp::wire::Message;
use bartizan_scan::display_line;
use bartizan_scan::json::View;
use bartizan_store::Store;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Holds what one server lists against what was accepted of it.
#[derive(Clone)]
pub(super) struct Pins {
    store: Store,
    name: ServerName,
    said: McpServer,
    pin: Pin,
    memory: Arc<Memory>,
    /// The client's gate, which knows whether the person may be told now.
    main: Arc<Gate>,
}

impl Pins {
    /// For one life of the server. What it has at its first is what is trusted on first use.
    pub(super) fn of(keeper: &Keeper, first: bool) -> Self {
        let Keeper { hall, name, said, .. } = keeper;
        let pin = if first { said.pin } else { Pin::Review };
        let (store, memory) = (hall.ground.store.clone(), Arc::default());
        let main = Arc::clone(&hall.session.gate);
        Self { store, name: name.clone(), said: said.clone(), pin, memory, main }
    }

    fn judged(&self, kind: Kind, pages: &[Message]) -> Result<Vec<Judged>, String> {
        let entries = pages.iter().filter_map(|page| page.result()?.get(kind.list())?.items());
        let entries = entries.flatten().map(View::exact).collect::<Option<Vec<Value>>>();
        let entries = entries.ok_or("an item of its list has numbers that cannot be judged")?;
        let sight = Sight::of(kind, &entries).map_err(|error| error.to_string())?;
        let seen = (&sight, &*self.memory);
        known_servers::take_down(&self.store, &self.name, (kind, self.pin), seen).map_err(told)
    }

    /// What of it is no tool.
    pub(super) fn look(self) -> Look {
        Arc::new(move |kind, pages| {
            let judged = self.judged(kind, pages)?;
            tell_held(&self.main, &self.name, &judged);
            Ok(Words::of(&judged))
        })
    }

    /// Makes the gate for the server's tools, each time that its list has changed.
    pub(super) fn maker(self, keeper: &Keeper, session: &SessionId) -> Maker {
        let hall = &keeper.hall;
        let (standing, redactor) = (hall.standing.clone(), hall.session.redactor.clone());
        let (session, first) = (session.clone(), standing.clone());
        let unfit = standing.unfit(self.name.as_str());
        let made = move |config: &Config, number: u64, pages: &[Message]| {
            let judged = self.judged(Kind::Tool, pages)?;
            tell_held(&self.main, &self.name, &judged);
            let known = known_servers::catalogue(config, Some(&self.store));
            let (catalogue, problems) = known.map_err(told)?;
            first.tell(problems);
            let (open, held) = self.sorted(&judged, &|name| catalogue.get(name).is_some())?;
            let policy = config.policy(&catalogue).map_err(|failure| unfit.tell(failure))?;
            let run = SessionId::parse(&format!("{session}.t{number}"));
            let run = run.map_err(|error| error.to_string())?;
            let stands = (catalogue, policy, config);
            let gate = gate_beside(&self.main, &self.store, stands, redactor.clone(), &run);
            let gate = Arc::new(gate);
            let said = self.said.tools.iter();
            let described =
                said.filter_map(|(tool, said)| Some((tool.clone(), said.description.clone()?)));
            let described = described.collect();
            let (marks, shaped) = (marks(pages), shaped(pages));
            Ok((Generation { gate, tools: open, held, described, marks, shaped }, Vec::new()))
        };
        Arc::new(move |number, pages| standing.make(|config| made(config, number, pages)))
    }

    /// The tools that may be called, as the gate `knows` them, and those that wait for a person.
    fn sorted(&self, judged: &[Judged], knows: &dyn Fn(&str) -> bool) -> Result<Sorted, String> {
        let mut open = BTreeMap::new();
        let known = known_servers::known(&self.store, self.name.as_str()).map_err(told)?;
        let mut held: BTreeSet<String> = known.accepted_tools().cloned().collect();
        for item in judged.iter().filter(|item| !own::is_ours(&item.name)) {
            if item.standing == Standing::Accepted {
                let known = upstream_name(&self.name, &item.name).ok();
                let known = known.filter(|known| knows(known.as_str()));
                open.extend(known.map(|known| (item.name.clone(), known)));
            } else {
                held.insert(item.name.clone());
            }
        }
        // What the operator hides is not there at all.
        let hidden = |tool: &String| self.said.tools.get(tool).is_some_and(|said| said.hidden);
        held.retain(|tool| !open.contains_key(tool) && !hidden(tool) && !own::is_ours(tool));
        Ok((open, held))
    }
}

type Sorted = (BTreeMap<String, bartizan_gate::name::ToolName>, BTreeSet<String>);

/// Tells the person what waits for them.
fn tell_held(gate: &Gate, server: &ServerName, judged: &[Judged]) {
    let held = judged.iter().filter_map(|item| Some((item, why_held(item)?)));
    let held: Vec<_> = held.collect();
    for (item, why) in held.iter().take(TOLD_MAX) {
        let name = display_line(&format!("{server}/{}", item.name), 120);
        let why = display_line(why, 200);
        gate.say(&format!(
            "bartizan: `{name}` is held back: {why}\n  hint: bartizan servers diff {server}"
        ));
    }
    if let Some(more) = held.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        gate.say(&format!("bartizan: {more} more of `{server}` are held back"));
    }
}

fn why_held(item: &Judged) -> Option<String> {
    if own::is_ours(&item.name) {
        return Some("it has the name of a tool of ours".to_owned());
    }
    Some(match &item.standing {
        Standing::Accepted => return None,
        Standing::Changed(_) => "it is not what was accepted".to_owned(),
        Standing::New => match item.reasons.first() {
            Some(reason) => reason.to_string(),
            None => "nobody has accepted it".to_owned(),
        },
    })
}

/// How many that wait are told one by one.
const TOLD_MAX: usize = 20;
