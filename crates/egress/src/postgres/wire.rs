//! What is said on the wire? The few messages of `PostgreSQL`'s protocol 3.0 that a login and a plain query need.

use super::{Account, scram};
use crate::fault::{Fault, FaultKind};
use crate::secret::SecretValue;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// A connection to a server, in TLS or on this machine.
pub(crate) type Link = Box<dyn Stream>;

/// What a connection can do.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Sends the startup message and logs in. Gives what the server says after that, up to and with `ReadyForQuery`, for the client.
pub(super) async fn start(
    link: &mut Link,
    account: &Account,
    password: &SecretValue,
    extra: &[(String, String)],
) -> Result<Vec<u8>, Fault> {
    let own = [("user", account.user.as_str()), ("database", account.database.as_str())];
    let given = extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut body = VERSION.to_be_bytes().to_vec();
    for text in own.into_iter().chain(given).flat_map(|(name, value)| [name, value]) {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    send(link, &[&length(&body), body.as_slice()].concat()).await?;
    authenticate(link, password).await?;
    let mut greeting = Vec::new();
    loop {
        let (tag, body) = read(link).await?;
        greeting.push(tag);
        greeting.extend_from_slice(&length(&body));
        greeting.extend_from_slice(&body);
        match tag {
            b'Z' => return Ok(greeting),
            b'E' => return Err(refused(&body)),
            _ if greeting.len() > LONGEST => return Err(odd()),
            _ => {}
        }
    }
}

async fn authenticate(link: &mut Link, password: &SecretValue) -> Result<(), Fault> {
    let mut begun = Some(scram::Client::begin()?);
    let mut expected: Option<scram::Expected> = None;
    let mut proven = false;
    loop {
        let (tag, body) = read(link).await?;
        let (kind, rest) = body.split_at_checked(4).unwrap_or((&[], &[]));
        let text = || std::str::from_utf8(rest).map_err(|_| odd());
        match (tag, kind) {
            (b'E', _) => return Err(refused(&body)),
            (b'R', [0, 0, 0, 10]) => {
                let offered = rest.split(|b| *b == 0).any(|name| name == b"SCRAM-SHA-256");
                let first = begun.as_ref().filter(|_| offered).ok_or_else(odd)?.first();
                let body =
                    [b"SCRAM-SHA-256\0", &number(first.len())[..], first.as_bytes()].concat();
                send(link, &message(b'p', &body)).await?;
            }
            (b'R', [0, 0, 0, 11]) => {
                let (last, due) = begun.take().ok_or_else(odd)?.answer(text()?, password)?;
                expected = Some(due);
                send(link, &message(b'p', last.as_bytes())).await?;
            }
            (b'R', [0, 0, 0, 12]) => {
                expected.as_ref().ok_or_else(odd)?.check(text()?)?;
                proven = true;
            }
            // A server that lets anybody in has not shown that it is the one we meant.
            (b'R', [0, 0, 0, 0]) if proven => return Ok(()),
            (b'R', _) => {
                let what = "the database wants another login than SCRAM-SHA-256";
                let remedy = "set password_encryption = 'scram-sha-256' there, set the password anew, and use scram-sha-256 in pg_hba.conf";
                return Err(Fault::new(FaultKind::Denied, what).remedy(remedy));
            }
            (b'N' | b'v', _) => {}
            _ => return Err(odd()),
        }
    }
}

/// Runs one statement whose result nobody needs; it is carried out whole, or not at all.
pub(super) async fn execute(link: &mut Link, statement: &str) -> Result<(), Undone> {
    let work = async {
        send(link, &message(b'Q', &[statement.as_bytes(), &[0]].concat())).await?;
        let mut failed = None;
        loop {
            let (tag, body) = read(link).await?;
            match tag {
                b'E' => failed = failed.or(Some(refused(&body))),
                b'Z' => return Ok(failed),
                _ => {}
            }
        }
    };
    let late = || Err(Fault::new(FaultKind::Slow, "the database does not answer in time"));
    let failed = timeout(ANSWER, work).await.unwrap_or_else(|_| late()).map_err(Undone::Unknown)?;
    failed.map_or(Ok(()), |fault| Err(Undone::Refused(fault)))
}

/// Why a statement was not carried out, as far as anybody knows.
#[derive(Debug)]
pub(crate) enum Undone {
    /// The server has said so, or never got it.
    Refused(Fault),
    /// Its answer is lost.
    Unknown(Fault),
}

impl Undone {
    /// The reason, where it makes no difference whether it was carried out.
    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Refused(fault) | Self::Unknown(fault) => fault,
        }
    }
}

/// One message: its tag and its body.
pub(super) async fn read<S: AsyncRead + Unpin + ?Sized>(
    link: &mut S,
) -> Result<(u8, Vec<u8>), Fault> {
    let broken = |_| Fault::new(FaultKind::Down, "the database ends the connection");
    let tag = link.read_u8().await.map_err(broken)?;
    let length = link.read_u32().await.map_err(broken)?;
    let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    let length = length.filter(|length| *length <= LONGEST).ok_or_else(odd)?;
    let mut body = vec![0; length];
    link.read_exact(&mut body).await.map_err(broken)?;
    Ok((tag, body))
}

pub(super) async fn send<S: AsyncWrite + Unpin + ?Sized>(
    link: &mut S,
    bytes: &[u8],
) -> Result<(), Fault> {
    let sent = async {
        link.write_all(bytes).await?;
        link.flush().await
    };
    sent.await.map_err(|_: std::io::Error| {
        Fault::new(FaultKind::Down, "the database ends the connection")
    })
}

pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], &length(body)[..], body].concat()
}

/// A message's length field, which counts itself.
fn length(body: &[u8]) -> [u8; 4] {
    number(body.len() + 4)
}

fn number(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

/// An error of the server, by its code alone: its words may repeat what we sent.
fn refused(body: &[u8]) -> Fault {
    let code = body.split(|b| *b == 0).find_map(|field| field.strip_prefix(b"C"));
    let code = code.filter(|code| code.len() == 5 && code.iter().all(u8::is_ascii_alphanumeric));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()).unwrap_or("?????");
    let (kind, remedy) = match code {
        "28P01" | "28000" => (FaultKind::Denied, "look at the role, its password and pg_hba.conf"),
        "3D000" => (FaultKind::Missing, "there is no such database"),
        "42501" => (FaultKind::Denied, "the role that mints needs CREATEROLE"),
        "57P03" | "53300" => (FaultKind::Down, "it is starting, stopping or full"),
        _ => (FaultKind::Down, "look up the SQLSTATE, or look at the database's log"),
    };
    Fault::new(kind, format!("the database refuses with SQLSTATE {code}")).remedy(remedy)
}

fn odd() -> Fault {
    Fault::new(FaultKind::Malformed, "the database says something that its protocol does not know")
}

/// Protocol 3.0.
pub(super) const VERSION: u32 = 3 << 16;
/// `SSLRequest`.
pub(super) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const LONGEST: usize = 1 << 20;
/// For a statement: handing over what a role owns takes a while.
const ANSWER: Duration = Duration::from_secs(20);
