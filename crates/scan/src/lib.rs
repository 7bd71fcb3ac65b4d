//! What may leave towards an agent, a screen or a log, and in what form?
//!
//! Text goes in; cleaned text and findings come out. Nothing in this crate reads a file, opens a socket, starts
//! a thread or looks at a clock, so the same input always gives the same output.
//!
//! The way out has four steps here, in this order:
//!
//! 1. [`Redactor`] replaces secret values by labels such as `[REDACTED:anthropic-key:3f9a]`: every value the
//!    session has resolved, in every encoding it could be echoed in, and unknown values of vendors' shapes.
//! 2. [`sanitise`] makes what could trick a terminal or an approver's eye visible: escapes, controls,
//!    bidirectional overrides, zero-width and tag characters.
//! 3. [`Detector`] says how much a text looks like orders to the model that reads it, and why.
//! 4. [`Frame`] puts untrusted content between markers that the content cannot forge.
//!
//! Redaction acts on what *returns* only. Never call it on bytes on their way to a file or a command: an agent
//! would find its own file changed behind its back.
#![forbid(unsafe_code)]

mod assign;
mod before;
mod beside;
mod bytes;
mod codes;
mod detect;
mod dress;
mod dumps;
mod encode;
mod extent;
mod filter;
mod finding;
mod fold;
mod found;
mod frame;
pub mod json;
mod key;
mod keywords;
mod known;
mod label;
mod lookalike;
mod marks;
mod memo;
mod names;
mod pieces;
mod prefixed;
mod redact;
mod rules;
mod runs;
mod sanitise;
mod scanner;
mod segment;
mod shown;
mod spoken;

mod stream;
mod tables;
mod turned;
mod typed;
mod values;
mod verify;
mod views;
mod windows;
mod words;
mod work;

pub use detect::{Detection, Detector, Signal, TrainingReading, fold_char, training_readings};
pub use finding::{Confidence, Finding, Kind};
pub use frame::{Form, Frame, Frames, Trust};
pub use key::ScanKey;
pub use known::{KnownSecret, MAX_SECRET_BYTES, MIN_SECRET_BYTES};
pub use lookalike::{LookAlike, MAX_WORDS as MAX_LOOK_ALIKES, look_alikes};
pub use redact::{Redacted, Redactor, ScanError};
pub use sanitise::{
    Class, Mode, Sanitised, Sanitiser, StaysUnseen, Treatment, display_line, sanitise,
};
pub use stream::RedactStream;
