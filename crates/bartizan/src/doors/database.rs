//! Who logs in where the box connects to a database? The session's own role, outside; the box needs no password.

use crate::app::Gate;
use crate::doors::told::told;
use bartizan_egress::{Captured, Refusal as Told, Resolver, Status, Vault, postgres};
use bartizan_gate::call::{Authorized, Door, Outcome, Proposed};
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_gate::name::HostPort;
use bartizan_gate::seat::Caller;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Serves one box's connections to the databases that its seat has logins for.
pub(crate) struct DatabaseDoor {
    gate: Arc<Gate>,
    caller: Caller,
    vault: Vault,
}

impl DatabaseDoor {
    /// A door for the box of `caller`.
    pub(crate) fn new(gate: Arc<Gate>, caller: Caller, vault: Vault) -> Self {
        Self { gate, caller, vault }
    }

    /// Whether a connection to `target` comes through here.
    pub(crate) fn serves(&self, target: &HostPort) -> bool {
        self.caller.seat().login(target).is_some()
    }

    /// Proposes the connection, and logs in for it.
    pub(crate) async fn serve(&self, captured: Captured<TcpStream>) {
        let target = captured.intent().target();
        let arguments = json!({
            "host": target.host().to_string(),
            "port": target.port(),
            "protocol": "tcp",
        });
        let proposal = || Proposed::new(&self.caller, Door::Net, "net.connect", arguments.clone());
        let replaced = self.gate.replaced();
        let (gate, proposed) = (Arc::clone(&self.gate), proposal());
        let decided = tokio::task::spawn_blocking(move || gate.decide(proposed)).await;
        match decided {
            Ok(Ok(authorized)) => tokio::select! {
                () = self.perform(authorized, captured) => {}
                () = self.gate.withdrawn(replaced, proposal) => {}
            },
            Ok(Err(refused)) => captured.refuse(&told(&refused)).await,
            Err(_) => captured.refuse(&failed("gate-failed", "the gate failed")).await,
        }
    }

    async fn perform(&self, authorized: Authorized, captured: Captured<TcpStream>) {
        let login = Login { vault: &self.vault, captured };
        let executed = self.gate.pipeline().perform(authorized, login).await;
        // The connection is closed; all that is left is its record, and a log that fails stops the next act.
        drop(self.gate.pipeline().release(executed));
    }
}

/// One connection, logged in under its warrant.
struct Login<'a> {
    vault: &'a Vault,
    captured: Captured<TcpStream>,
}

/// A connection's figures hold no text from outside.
struct Carried;

impl Content for Carried {
    fn scrub(self, _: &dyn Fn(&str) -> String) -> Self {
        self
    }
}

impl Effector for Login<'_> {
    type Output = Carried;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Carried) {
        let Self { vault, captured } = self;
        if warrant.host() != Some(captured.intent().target()) {
            let sentence = "this connection was not the one that was judged";
            captured.refuse(&failed("warrant-mismatch", sentence)).await;
            return (Outcome::stopped("warrant-mismatch", json!({})), Carried);
        }
        let opened = vault.open_account(warrant).await;
        let (account, password) = match opened {
            Ok((account, password)) if Some(&account.target) == warrant.host() => {
                (account, password)
            }
            Ok(_) => {
                captured.refuse(&failed("warrant-mismatch", "the login is for another host")).await;
                return (Outcome::stopped("warrant-mismatch", json!({})), Carried);
            }
            Err(error) => {
                captured.refuse(&error.refusal()).await;
                let why = json!({ "why": error.to_string() });
                return (Outcome::failed("secret-unavailable", why), Carried);
            }
        };
        let relayed = postgres::serve(captured, &Resolver::system(), &account, &password).await;
        let outcome = match relayed {
            Ok(relayed) => Outcome::succeeded(json!({
                "user": account.user,
                "bytes_out": relayed.bytes_out,
                "bytes_in": relayed.bytes_in,
            })),
            Err(fault) => Outcome::failed("login-failed", json!({ "why": fault.to_string() })),
        };
        (outcome, Carried)
    }
}

fn failed(code: &'static str, sentence: &'static str) -> Told {
    Told::new(Status::Forbidden, code, sentence)
}
