//! Who logs in to `PostgreSQL`? We do, outside: a program in the box connects without a password, and a role that
//! was made for the session stands behind it.

mod relay;
mod role;
mod scram;
mod wire;

pub use relay::{Relayed, relay, serve};
pub use role::RoleMint;
pub(crate) use wire::Undone;

use crate::fault::{Fault, FaultKind};
use crate::name::HostPort;
use crate::resolve::{AddressClass, Reach, Resolver};
use crate::secret::SecretValue;
use crate::tls;
use rustls::pki_types::ServerName;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wire::Link;

/// Where a database is, and as whom we log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The server.
    pub target: HostPort,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
}

/// Connects and logs in. TLS is demanded of every server that is not on this machine.
pub(crate) async fn log_in(
    resolver: &Resolver,
    account: &Account,
    password: &SecretValue,
    extra: &[(String, String)],
) -> Result<(Link, Vec<u8>), Fault> {
    in_time(&account.target, async {
        let mut link = connect(resolver, &account.target).await?;
        let greeting = wire::start(&mut link, account, password, extra).await?;
        Ok((link, greeting))
    })
    .await
}

/// Passes a client's request to cancel what another connection does; no answer comes of it.
async fn cancel(resolver: &Resolver, target: &HostPort, request: &[u8]) -> Result<(), Fault> {
    in_time(target, async { wire::send(&mut connect(resolver, target).await?, request).await })
        .await
}

/// What a server is asked has an end, whatever it does.
async fn in_time<T>(
    target: &HostPort,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(LOG_IN, work).await.unwrap_or_else(|_| Err(down(target, "does not answer in time")))
}

/// Connects without logging in.
async fn connect(resolver: &Resolver, target: &HostPort) -> Result<Link, Fault> {
    // The person configured this address, so it may be a private one.
    let reach = Reach::public().and_network().and_this_host();
    let pinned = resolver.resolve(target, reach).await;
    let pinned = pinned.map_err(|_| down(target, "does not resolve to an address within reach"))?;
    let dialled = pinned.dial(DIAL).await;
    let (mut stream, address) = dialled.map_err(|_| down(target, "does not take a connection"))?;
    if AddressClass::of(address.ip()) == AddressClass::ThisHost {
        return Ok(Box::new(stream));
    }
    let failed = |_| down(target, "ends the connection");
    stream.write_all(&wire::SSL_REQUEST).await.map_err(failed)?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await.map_err(failed)?;
    if answer != *b"S" {
        let fault = down(target, "offers no TLS, so no password is sent to it");
        return Err(fault.remedy("set `ssl = on` in its postgresql.conf"));
    }
    let config =
        tls::system().map_err(|_| down(target, "cannot be asked: TLS cannot be set up"))?;
    // PostgreSQL knows no ALPN but its own.
    let mut config = (*config).clone();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    let name = match (target.host().address(), target.host().name()) {
        (Some(address), _) => ServerName::IpAddress(address.into()),
        (None, name) => ServerName::try_from(name.unwrap_or_default().to_owned())
            .map_err(|_| down(target, "has a name that TLS does not take"))?,
    };
    let secured = TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await;
    let secured =
        secured.map_err(|_| down(target, "does not prove over TLS that it is that host"))?;
    Ok(Box::new(secured))
}

fn down(target: &HostPort, what: &str) -> Fault {
    Fault::new(FaultKind::Down, format!("the database at `{target}` {what}"))
}

const DIAL: Duration = Duration::from_secs(5);
const LOG_IN: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up() {
        let target = HostPort::parse("db.example:5432").unwrap();
        let late = in_time::<()>(&target, pending()).await.unwrap_err();
        assert_eq!(late.kind(), FaultKind::Down, "{late}");
        in_time(&target, async { Ok(()) }).await.unwrap();
    }
}
