//! Who is a client that comes over the network? Whoever shows a credential that holds, and nobody else.

pub(crate) mod admits;
pub(crate) mod bearer;
pub(crate) mod oauth;
pub(crate) mod porter;
