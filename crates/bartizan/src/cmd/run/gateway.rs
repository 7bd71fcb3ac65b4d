//! How does the client in the box get the MCP servers of the configuration? Each that its role may use is an entry of its
//! own; behind the entries stands the gateway, which judges every call as the run's own and starts each server in a box.

use super::ground::{Ground, Session};
use super::mcp::servers::{Ends, Hall, Part, attend, hub, usable};
use super::reload::Standing;
use crate::cli::RunArgs;
use crate::client::Client;
use crate::config::Config;
use crate::doors::calls::Naming;
use crate::doors::calls::carried::{Offer, read};
use crate::doors::hook;
use crate::doors::mcp::entry;
use crate::doors::mcp::hub::{Counted, Reckon};
use crate::report::{Failure, Problem, Voice};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::os::unix::net::UnixListener as Bound;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

/// The servers of one run.
pub(super) struct Gateway {
    hall: Rc<Hall>,
    /// What stands behind each entry: a server, or the declared tools.
    entries: BTreeMap<String, Option<String>>,
    listener: Bound,
}

/// Where the box's socket is on the host.
pub(super) fn socket(keep: &Path) -> PathBuf {
    keep.join("mcp.sock")
}

/// Makes ready what the client is to find, if there is something and it can be told of it.
pub(super) fn open(
    client: Option<Client>,
    (ground, session): (Ground, Session),
    (standing, args): (&Standing, &RunArgs),
    voice: &mut Voice,
) -> Result<Option<Gateway>, Failure> {
    let Some(naming) = client.map(Client::naming) else { return Ok(None) };
    let servers = usable((&ground.config, &ground.store), &session.gate, &session.caller)?;
    let entries = entries(naming, servers, declares(&ground, &session), voice)?;
    if entries.is_empty() {
        return Ok(None);
    }
    let declared = ground.config.tools.values().map(|tool| tool.declared.name().to_string());
    let offer = Offer { entries: entries.clone(), declared: declared.collect(), naming };
    session.conversation.calls.gateway(offer);
    let at = socket(&session.keep);
    let listener = hook::bind(&at).map_err(|error| Failure::file("listen at", &at, &error))?;
    let (standing, tier) = (standing.clone(), args.require_tier);
    let hall = Hall { ground, session, standing, wait: WAIT, tier, framing: false, only: None };
    Ok(Some(Gateway { hall: Rc::new(hall), entries, listener }))
}

/// Whether the role may call some declared tool.
fn declares(ground: &Ground, session: &Session) -> bool {
    let policy = session.gate.pipeline().policy();
    let Config { tools, .. } = &ground.config;
    tools.values().any(|tool| policy.may_ever(&ground.role, tool.declared.name()))
}

/// The client's name of each server: its own, in letters that the client leaves as they are.
fn entries(
    naming: Naming,
    servers: Vec<String>,
    declares: bool,
    voice: &mut Voice,
) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let mut entries = BTreeMap::new();
    let mut odd = BTreeSet::new();
    for server in servers {
        match naming.entry(&server) {
            Some(entry) if entries.contains_key(&entry) => drop(odd.insert(entry)),
            Some(entry) => drop(entries.insert(entry, Some(server))),
            None => drop(odd.insert(server)),
        }
    }
    if declares && entries.insert(DECLARED.to_owned(), None).is_some() {
        odd.insert(DECLARED.to_owned());
    }
    for name in odd {
        // None of them, since nobody could tell whose tools the model means.
        entries.remove(&name);
        let what = format!(
            "the client could not tell the tools of `{name}` from others, so it does not get them"
        );
        voice.warn(&Problem::new(what).hint("name the server otherwise: [servers.NAME]"))?;
    }
    Ok(entries)
}

/// Performs the run with the gateway beside it, and ends the gateway with the run.
pub(super) async fn beside<T>(gateway: Option<Gateway>, performed: impl Future<Output = T>) -> T {
    let Some(gateway) = gateway else { return performed.await };
    let (end, over) = watch::channel(false);
    let local = LocalSet::new();
    let serving = local.spawn_local(Rc::new(gateway).serve(over));
    let done = local.run_until(Box::pin(performed)).await;
    end.send_replace(true);
    // Every server has its time for last words, and no more.
    drop(local.run_until(serving).await);
    done
}

impl Gateway {
    /// The names of the entries.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.entries.keys().cloned().collect::<Vec<_>>().into_iter()
    }

    async fn serve(self: Rc<Self>, mut over: watch::Receiver<bool>) -> std::io::Result<()> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let mut talks = JoinSet::new();
        // One for each entry, one that takes its place, and some that have not said yet whom they mean.
        let at_once = self.entries.len() * 2 + UNSAID;
        loop {
            let accepted = tokio::select! {
                _ = over.wait_for(|over| *over) => break,
                _ = talks.join_next(), if !talks.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(BREATH).await;
                continue;
            };
            // Each has servers of its own, so that only so many are served.
            if talks.len() < at_once {
                talks.spawn_local(Rc::clone(&self).talk(stream, over.clone()));
            }
        }
        while talks.join_next().await.is_some() {}
        Ok(())
    }

    /// One conversation of the box's with one entry.
    async fn talk(self: Rc<Self>, stream: UnixStream, mut over: watch::Receiver<bool>) {
        let (mut input, output) = stream.into_split();
        let meant = tokio::select! {
            meant = entry::meant(&mut input) => meant,
            _ = over.wait_for(|over| *over) => None,
        };
        let Some(name) = meant.filter(|name| self.entries.contains_key(name)) else { return };
        let hub = match hub(&self.hall, self.part(&name)) {
            Ok(hub) => hub,
            Err(failure) => {
                let why = failure.problems.into_iter().map(|problem| problem.into_parts().0);
                let why = why.collect::<Vec<_>>().join("; ");
                self.hall.session.gate.say(&format!("bartizan: no server for the client: {why}"));
                return;
            }
        };
        let ends: Ends = (Box::new(input), Box::new(output));
        let until = async move { drop(over.wait_for(|over| *over).await) };
        let (end, _) = watch::channel(false);
        attend((&self.hall, &hub), ends, end, until).await;
    }

    fn part(&self, entry: &str) -> Part {
        let server = self.entries.get(entry).cloned().flatten();
        let reckon = Some(self.reckon(entry));
        match server {
            Some(server) => {
                Part { servers: vec![server], tools: BTreeMap::new(), alone: true, reckon }
            }
            None => Part {
                servers: Vec::new(),
                tools: self.hall.ground.config.tools.clone(),
                alone: false,
                reckon,
            },
        }
    }

    /// What the model proposed was counted when it did. What a program in the box calls by itself counts here.
    fn reckon(&self, entry: &str) -> Reckon {
        let Session { conversation, caller, .. } = &self.hall.session;
        let (conversation, caller, entry) =
            (conversation.clone(), caller.clone(), entry.to_owned());
        Arc::new(move |counted: Counted<'_>| {
            let calls = &conversation.calls;
            let workspace = caller.seat().workspace.to_string();
            let uri = || counted.arguments.get("uri").and_then(Value::as_str);
            let act = match (counted.method, counted.tool) {
                (_, Some(tool)) => Some(calls.act_at(&entry, tool, counted.arguments, &workspace)),
                ("resources/read", None) => uri().map(read),
                _ => None,
            };
            let arrived = act.map(|act| calls.arrives(&act, counted.proposal));
            let Some(arrived) = arrived.filter(|arrived| arrived.proposed) else {
                if !FREE.contains(&counted.method) {
                    conversation.budget.unproposed(caller.seat())?;
                }
                return Ok(calls.anybody());
            };
            Ok(arrived.whose)
        })
    }
}

/// What does not count: clients ask it over and over, while a person types or a call that has counted goes on.
const FREE: [&str; 7] = [
    "completion/complete",
    "resources/unsubscribe",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
];
/// The entry of the declared tools.
const DECLARED: &str = "bartizan";
/// How long a call waits for a person while its client hears of progress; who is asked may have to be found first.
const WAIT: Duration = Duration::from_mins(5);
/// Conversations of which it is not said yet whom they are with.
const UNSAID: usize = 4;
const BREATH: Duration = Duration::from_millis(10);
