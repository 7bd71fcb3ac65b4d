//! What may pass a tunnel, for how long, and what is told of it in the end?

use crate::name::Host;
use crate::refuse::Refusal;
use crate::resolve::Reach;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What was granted with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Which addresses it may lead to.
    pub reach: Reach,
    /// What is done with TLS on it.
    pub tls: Tls,
}

/// What is done with a connection's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It passes as it is, once its hello has named the target: nobody reads the requests in it.
    PassThrough,
    /// It ends here, and each request in it is judged.
    Terminate,
    /// The same, and nothing but TLS passes, whatever the port.
    TerminateOnly,
}

/// Bounds on one tunnel.
#[derive(Debug, Clone)]
pub struct TunnelLimits {
    /// From the client's first byte (on a TLS port: from the verdict) until it is clear what it speaks.
    pub opening: Duration,
    /// For all dials together.
    pub dial: Duration,
    /// Without a byte either way.
    pub idle: Duration,
    /// In all.
    pub lifetime: Duration,
    /// Bytes that may leave.
    pub bytes_out: u64,
    /// Ports on which only TLS passes, and nothing is dialled before its hello has named the target.
    pub tls_ports: Vec<u16>,
    /// Ports on which only HTTP/1.1 and TLS pass.
    pub http_ports: Vec<u16>,
    /// What is done with a client hello that is encrypted in part.
    pub encrypted_hello: EncryptedHello,
}

/// What is done with a client hello that carries an encrypted one (ECH, RFC 9849).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptedHello {
    /// Let it pass when the readable name is the target's. Browsers send a meaningless one with every
    /// connection, which cannot be told from a real one; a real one may name any host of the same provider.
    Pass,
    /// Refuse it.
    Refuse,
}

impl Default for TunnelLimits {
    /// Limits that an honest program does not meet; encrypted hellos are refused.
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(10),
            dial: Duration::from_secs(10),
            idle: Duration::from_mins(15),
            lifetime: Duration::from_hours(12),
            bytes_out: u64::MAX,
            tls_ports: vec![443],
            http_ports: vec![80],
            encrypted_hello: EncryptedHello::Refuse,
        }
    }
}

/// How a tunnel ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Either side failed in mid-stream.
    Broken(io::ErrorKind),
    /// Both sides were done.
    Finished,
    /// Nothing passed for too long.
    Idle,
    /// The bytes that may leave have left.
    OverBudget,
    /// It was refused; nothing of what was refused has left.
    Refused(Refusal),
    /// It lasted too long.
    TooLong,
}

/// What a tunnel did, for the audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelReport {
    /// Bytes that went to the target.
    pub bytes_out: u64,
    /// Bytes that came back.
    pub bytes_in: u64,
    /// The address that was dialled.
    pub address: Option<SocketAddr>,
    /// The server name of the TLS client, when it gave one.
    pub sni: Option<Host>,
    /// How it ended.
    pub ended: Ended,
}
