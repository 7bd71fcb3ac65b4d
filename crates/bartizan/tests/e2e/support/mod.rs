//! What do the end-to-end tests share? A project with something worth stealing, the built program,
//! a scripted model, and the log.

pub(crate) mod api;
pub(crate) mod authenticator;
pub(crate) mod bedrock;
pub(crate) mod gemini;
pub(crate) mod log;
pub(crate) mod project;
pub(crate) mod responses;
pub(crate) mod schema;
pub(crate) mod sink;
pub(crate) mod site;
pub(crate) mod terminal;
pub(crate) mod tmux;
