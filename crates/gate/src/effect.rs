//! Who may change the world, and on whose word? Effectors, under a warrant that cannot outlive the act.

use crate::call::{Authorized, Outcome};
use crate::name::{AgentId, CallId, HostPort, SecretName, SessionId, ToolName};
use serde_json::Value;
use std::future::Future;

/// The authority to perform one call, borrowed while [`Pipeline::perform`](crate::pipeline::Pipeline::perform)
/// runs the effector: it can be neither kept nor made elsewhere.
#[derive(Debug)]
pub struct Warrant<'a> {
    authorized: &'a Authorized,
}

impl<'a> Warrant<'a> {
    pub(crate) fn new(authorized: &'a Authorized) -> Self {
        Self { authorized }
    }

    /// The call's id in the log.
    pub fn call(&self) -> &CallId {
        &self.authorized.call
    }

    /// The session it belongs to.
    pub fn session(&self) -> &SessionId {
        self.authorized.session()
    }

    /// Who proposed it.
    pub fn agent(&self) -> &AgentId {
        self.authorized.agent()
    }

    /// The tool that was checked.
    pub fn tool(&self) -> &ToolName {
        self.authorized.listed.tool().name()
    }

    /// The arguments that were checked; an effector takes them from here and nowhere else.
    pub fn arguments(&self) -> &'a Value {
        self.authorized.scoped.arguments()
    }

    /// The one host that may be reached, if any.
    pub fn host(&self) -> Option<&'a HostPort> {
        self.authorized.granted.host()
    }

    /// The one secret that may be used, if any.
    pub fn secret(&self) -> Option<&'a SecretName> {
        self.authorized.granted.secret()
    }
}

/// Something that acts outside this process: the box, the egress.
pub trait Effector {
    /// What the act yields; it is scrubbed before anybody reads it.
    type Output: Content;

    /// Performs the call that the warrant stands for.
    fn run(self, warrant: &Warrant<'_>) -> impl Future<Output = (Outcome, Self::Output)>;
}

/// Output that knows how to go the way out.
pub trait Content {
    /// Replaces every text within by what `scrub` makes of it.
    #[must_use = "this is what may be read"]
    fn scrub(self, scrub: &dyn Fn(&str) -> String) -> Self;
}

impl Content for () {
    fn scrub(self, _: &dyn Fn(&str) -> String) -> Self {}
}

impl Content for String {
    fn scrub(self, scrub: &dyn Fn(&str) -> String) -> Self {
        scrub(&self)
    }
}
