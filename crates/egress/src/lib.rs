//! The only way out: which bytes may leave the box, to whom, and with whose key?
//!
//! A connection from a box goes through these rooms in this order, and nothing skips one:
//!
//! 1. [`capture`](mod@capture) reads the *front* (a SOCKS5 greeting, a `CONNECT`, an absolute-form request, or just the
//!    original destination of a transparent connection) and yields an [`Intent`]: who is meant. It
//!    resolves nothing and dials nothing.
//! 2. The caller judges the intent (policy, approval, audit). A refusal is told with
//!    [`Captured::refuse`], in whatever language the front spoke.
//! 3. [`Tunnel::carry`] checks that the bytes speak to the judged host (SNI, `Host`), resolves the name
//!    once, refuses addresses that are not public unless they were granted, dials the checked address,
//!    and relays. [`ModelRoute::serve`] does the same for the model API and adds the key.
//!
//! Where a connection carries HTTP, in TLS or not, [`terminate`] reads every request on it, and each is judged by
//! itself ([`RequestJudge`]) before it leaves.
//!
//! [`SyntheticNames`] answers the box's DNS questions without asking anybody; so a name that policy
//! denies is never looked up anywhere.
//!
//! [`vault`] turns the name of a secret into its value, at the moment of use and under a warrant.
//!
//! [`inbound`] is the one room that faces the other way: it takes in the clients of `bartizan serve`, for the sake of TLS.
//!
//! [`dispatch`] sends what Bartizan itself has to say, nothing of a box's, to the addresses that the operator named.
//!
//! INVARIANT: only [`resolve`] opens outbound sockets, only [`secret`] and [`vault`] hold secret values.

#![forbid(unsafe_code)]

pub mod budget;
pub mod capture;
mod closing;
pub mod courier;
pub mod dispatch;
pub mod dns;
mod fault;
mod front;
pub mod head;
pub mod hello;
mod http;
pub mod inbound;
pub mod model;
pub mod names;
pub mod opinion;
pub mod postgres;
mod published;
mod reference;
pub mod refuse;
pub mod resolve;
pub mod secret;
mod sigv4;
pub mod socks;
mod stream;
pub mod terminate;
mod terms;
pub mod tls;
pub mod trust;
pub mod tunnel;
mod turn_away;
mod upstream;
pub mod vault;
mod when;

use bartizan_gate::name;

pub use budget::{Allowances, Limits};
pub use capture::{Arrival, BadFront, Captured, FrontLimits, Intent, RequestLine, capture};
pub use closing::Closing;
pub use courier::{Answer, Courier, Errand, Lost, Reply};
pub use dispatch::{Dispatch, Parcel, Proof};
pub use front::Kind;
pub use inbound::{Asked, Certificate, Client, Inbound, InboundError, NotTaken, Page};
pub use model::{
    Judge, KeyPlace, ModelKey, ModelLimits, ModelOutcome, ModelRequest, ModelRoute, Upstream,
};
pub use names::SyntheticNames;
pub use opinion::{Adviser, Silence};
pub use published::Published;
pub use refuse::{Refusal, Status};
pub use resolve::{AddressClass, Lookup, Reach, Resolver, SystemLookup};
pub use secret::{SecretError, SecretValue};
pub use stream::Rewound;
pub use terminate::{
    Allowed, Bound, HttpEnded, HttpOutcome, HttpRequest, Injector, Place, RequestJudge, SessionCa,
    Terminator,
};
pub use tls::Clients;
pub use trust::TrustStore;
pub use tunnel::{Ended, Passage, Tls, Tunnel, TunnelLimits, TunnelReport};
pub use vault::{SecretRef, Vault};
