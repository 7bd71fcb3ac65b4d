//! What does somebody publish at this address? One GET without any credential, as the operator configured it: verified TLS,
//! no redirect, bounded in time and length.

use crate::fault::Fault;
use crate::resolve::Resolver;
use crate::upstream::Upstream;
use crate::vault::http::{Call, Client};
use hyper::Method;
use rustls::ClientConfig;
use std::sync::Arc;

/// Reads what is published, such as an issuer's keys.
#[expect(missing_debug_implementations, reason = "nothing in it is worth a look")]
pub struct Published {
    client: Client,
    from: Upstream,
}

impl Published {
    /// At this address, over the public and the machine's own roots.
    pub fn at(from: Upstream) -> Self {
        Self { client: Client::new(Resolver::system()), from }
    }

    /// The same, over roots of one's own.
    pub fn believing(from: Upstream, tls: Arc<ClientConfig>) -> Self {
        Self { client: Client::believing(Resolver::system(), tls), from }
    }

    /// What is there now, at most 1 MiB.
    pub async fn read(&self) -> Result<Vec<u8>, Fault> {
        let call = Call::new(Method::GET, "").header("accept", b"application/json")?;
        let answer = self.client.send(&self.from, call).await?;
        if answer.status == 200 {
            return Ok(answer.bytes().to_vec());
        }
        let what = format!("`{}` answers with status {}", self.from.target(), answer.status);
        Err(Fault::new(crate::vault::FaultKind::Down, what))
    }
}
