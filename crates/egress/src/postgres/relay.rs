//! How does `psql` in the box connect without a password? Its startup is read here, and ours is sent.

use super::{Account, cancel, log_in, wire};
use crate::capture::Captured;
use crate::fault::{Fault, FaultKind};
use crate::front::Kind;
use crate::resolve::Resolver;
use crate::secret::SecretValue;
use crate::socks;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::time::timeout;

/// How many bytes went to and fro after the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relayed {
    /// To the server.
    pub bytes_out: u64,
    /// To the box.
    pub bytes_in: u64,
}

/// Serves one client: reads its startup, logs in upstream as `account`, and passes everything after that. Whatever
/// user, password or database the client names, it gets the account's.
pub async fn relay<C>(
    mut client: C,
    resolver: &Resolver,
    account: &Account,
    password: &SecretValue,
) -> Result<Relayed, Fault>
where
    C: AsyncRead + AsyncWrite + Send + Unpin,
{
    let late = || Err(Fault::new(FaultKind::Slow, "the client does not begin"));
    let begun = timeout(BEGIN, begin(&mut client)).await.unwrap_or_else(|_| late());
    let wanted = match begun {
        Ok(Begun::Session(wanted)) => wanted,
        Ok(Begun::Cancel(request)) => {
            cancel(resolver, &account.target, &request).await?;
            return Ok(Relayed::default());
        }
        Err(fault) => return Err(tell(&mut client, "08P01", fault).await),
    };
    match log_in(resolver, account, password, &wanted).await {
        Ok((mut link, greeting)) => {
            let welcome = [wire::message(b'R', &[0; 4]), greeting].concat();
            wire::send(&mut client, &welcome).await?;
            // Either end may close without a word; what passed is what counts.
            let passed = copy_bidirectional(&mut client, &mut link).await.unwrap_or_default();
            Ok(Relayed { bytes_out: passed.0, bytes_in: passed.1 })
        }
        Err(fault) => Err(tell(&mut client, "08004", fault).await),
    }
}

/// The same for a connection that was captured, whatever it came in by.
pub async fn serve<S>(
    captured: Captured<S>,
    resolver: &Resolver,
    account: &Account,
    password: &SecretValue,
) -> Result<Relayed, Fault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (intent, mut client) = captured.into_parts();
    let welcome: &[u8] = match intent.kind() {
        Kind::Absolute => {
            return Err(Fault::new(FaultKind::Malformed, "the client speaks HTTP to a database"));
        }
        Kind::Connect => b"HTTP/1.1 200 Connection Established\r\n\r\n",
        Kind::Socks => &socks::reply(0),
        Kind::Transparent => b"",
    };
    wire::send(&mut client, welcome).await?;
    relay(client, resolver, account, password).await
}

enum Begun {
    /// A session, with the settings that are passed on.
    Session(Vec<(String, String)>),
    /// A request to cancel what another connection does, as it came.
    Cancel([u8; 16]),
}

async fn begin<C: AsyncRead + AsyncWrite + Unpin>(client: &mut C) -> Result<Begun, Fault> {
    for _ in 0..QUESTIONS {
        let gone = |_| Fault::new(FaultKind::Down, "the client goes away");
        let length = client.read_u32().await.map_err(gone)?;
        let code = client.read_u32().await.map_err(gone)?;
        match (length, code) {
            // Between the box and us no network can listen.
            (8, SSL | GSS) => client.write_all(b"N").await.map_err(gone)?,
            (16, CANCEL) => {
                let mut request = [0; 16];
                let (head, keys) = request.split_at_mut(8);
                head.copy_from_slice(
                    &[&length.to_be_bytes()[..], &code.to_be_bytes()[..]].concat(),
                );
                client.read_exact(keys).await.map_err(gone)?;
                return Ok(Begun::Cancel(request));
            }
            (9..=LONGEST, wire::VERSION) => {
                let mut body = vec![0; usize::try_from(length - 8).unwrap_or(0)];
                client.read_exact(&mut body).await.map_err(gone)?;
                return settings(&body).map(Begun::Session);
            }
            _ => return Err(Fault::new(FaultKind::Malformed, "only protocol 3.0 is spoken here")),
        }
    }
    Err(Fault::new(FaultKind::Malformed, "the client never begins"))
}

/// What of the client's settings is passed on: how it wants to be spoken to. Who it is and where it goes is not its to say.
fn settings(body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let odd = || Fault::new(FaultKind::Malformed, "the startup message is malformed");
    let text = std::str::from_utf8(body).map_err(|_| odd())?;
    let text = text.strip_suffix("\0\0").ok_or_else(odd)?;
    let words: Vec<&str> = text.split('\0').collect();
    let mut kept = Vec::new();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(odd()) };
        match *name {
            "user" | "database" => {}
            "replication" => {
                return Err(Fault::new(FaultKind::Denied, "replication is not passed on"));
            }
            name if KEPT.contains(&name.to_ascii_lowercase().as_str()) => {
                kept.push((name.to_owned(), (*value).to_owned()));
            }
            _ => {}
        }
    }
    Ok(kept)
}

/// Tells the client in its own protocol, without the reasons: those are for the log.
async fn tell<C: AsyncWrite + Unpin>(client: &mut C, code: &str, fault: Fault) -> Fault {
    let text = "bartizan: the database cannot be had [secret-unavailable]";
    let body = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0");
    drop(wire::send(client, &wire::message(b'E', body.as_bytes())).await);
    drop(client.shutdown().await);
    fault
}

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;
const KEPT: [&str; 7] = [
    "application_name",
    "client_encoding",
    "datestyle",
    "timezone",
    "intervalstyle",
    "extra_float_digits",
    "search_path",
];
const LONGEST: u32 = 10_000;
/// TLS, GSS, and then the session.
const QUESTIONS: usize = 4;
const BEGIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_the_client_is_and_where_it_goes_is_not_its_to_say() {
        let body = b"user\0postgres\0database\0other\0application_name\0psql\0options\0-c x=y\0\0";
        assert_eq!(settings(body).unwrap(), [("application_name".to_owned(), "psql".to_owned())]);
        for bad in [
            &b"user\0postgres\0replication\0database\0\0"[..],
            b"user\0\0",
            b"user",
            b"\xff\0\0",
            b"",
        ] {
            assert!(settings(bad).is_err(), "{bad:?}");
        }
    }
}
