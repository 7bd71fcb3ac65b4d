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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers every connection with this, and counts them.
    async fn says(answer: String) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, count) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&count);
        drop(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let _asked = stream.read(&mut [0; 4096]).await;
                drop(stream.write_all(answer.as_bytes()).await);
            }
        }));
        (format!("http://{address}/keys"), count)
    }

    async fn read(url: &str) -> Result<Vec<u8>, Fault> {
        Published::at(Upstream::parse(url).unwrap()).read().await
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }

    #[tokio::test]
    async fn a_redirect_leads_nowhere() {
        let (elsewhere, reached) = says(answer("200 OK", "", "{\"keys\":[]}")).await;
        assert!(read(&elsewhere).await.is_ok());
        for status in [
            "301 Moved Permanently",
            "302 Found",
            "303 See Other",
            "307 Temporary Redirect",
            "308 Permanent Redirect",
        ] {
            let (url, asked) =
                says(answer(status, &format!("Location: {elsewhere}\r\n"), "{}")).await;
            let fault = read(&url).await.unwrap_err().to_string();
            let code = status.split(' ').next().unwrap();
            assert!(fault.contains(code), "{fault}");
            assert_eq!((asked.load(Ordering::SeqCst), reached.load(Ordering::SeqCst)), (1, 1));
        }
    }

    #[tokio::test]
    async fn what_is_no_success_or_never_ends_is_nothing() {
        for status in ["204 No Content", "206 Partial Content", "404 Not Found", "500 Oh"] {
            let (url, _) = says(answer(status, "", "")).await;
            assert!(read(&url).await.is_err(), "{status}");
        }
        let (url, _) = says(answer("200 OK", "", &"x".repeat((1 << 20) + 1))).await;
        assert!(read(&url).await.is_err());
    }
}
