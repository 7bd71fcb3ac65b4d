//! What passes between an agent's question and the person who answers it? The same wherever people answer; nothing here
//! draws or reads a key.

pub(crate) mod answering;
pub(crate) mod origins;
pub(crate) mod telling;
