//! Which gates are there, and in which order does a proposal meet them?
//!
//! | gate | question | proof |
//! |---|---|---|
//! | [`identity`] | who asks, by evidence? | `Identified` |
//! | [`list`] | is the tool on this agent's list? | `Listed` |
//! | [`scope`] | typed arguments, canonical paths and hosts, within the role's own box ([`confine`])? | `Scoped` |
//! | [`risk`] | can it be undone? | `Rated` |
//! | [`grant`] | which hosts and secrets would it get? | `Granted` |
//! | [`limit`] | has it been called often enough already? | `Limited` |
//! | [`approval`] | does policy permit it, and did a person say yes where it must be asked? | `Cleared` |
//!
//! The grant is computed before approval, so that an approver sees hosts and secret names; it opens
//! nothing until the call is cleared and on the log. Limits are looked at before anybody is asked, and counted with the
//! call's own record.

pub(crate) mod approval;
mod confine;
pub(crate) mod grant;
pub(crate) mod identity;
pub(crate) mod limit;
pub(crate) mod list;
pub(crate) mod risk;
pub(crate) mod scope;

pub(crate) use approval::Cleared;
pub(crate) use grant::Granted;
pub(crate) use identity::Identified;
pub(crate) use limit::Limited;
pub(crate) use list::Listed;
pub(crate) use risk::Rated;
pub(crate) use scope::Scoped;
