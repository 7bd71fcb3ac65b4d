//! Is everything that was minted taken back, at the end of a run and after one that died?

use super::lease::Lease;
use super::token::github;
use super::{Origin, Vault, in_time};
use crate::fault::{Fault, FaultKind};
use bartizan_gate::name::SecretName;

impl Vault {
    /// Takes back everything that was minted. Returns what could not be; it stands in the book for the next start.
    pub async fn close(&self) -> Vec<Fault> {
        let mut faults = self.end_tokens().await;
        self.0.shelf.clear();
        let roles = std::mem::take(&mut *self.lock_roles());
        for (mint, lease) in roles.into_values() {
            let gone = async {
                let admin = self.inner(&mint.password).await?;
                self.drop_role(&mint, &admin, &lease).await
            };
            let fault = in_time(gone).await.err();
            if let (Some(book), Some(fault)) = (&self.0.book, &fault) {
                // Said here, however often: it is the end of this run. The next one need not say it again.
                book.is_news(&lease, &fault.to_string());
            }
            faults.extend(fault);
        }
        if let Some(session) = &self.0.server {
            let closing = async { Ok(session.close(self.0.book.as_ref(), self).await) };
            faults.extend(Box::pin(in_time(closing)).await.unwrap_or_else(|fault| vec![fault]));
        }
        faults
    }

    /// Takes back what processes that died have left behind, and says how many there were and what failed; of a lease that
    /// is out for the same reason as when a person was last told, nothing.
    pub async fn recover(&self) -> (usize, Vec<Fault>) {
        let Some(book) = &self.0.book else { return (0, Vec::new()) };
        let (mut gone, mut faults) = (0, Vec::new());
        let Ok(orphans) = book.orphans() else {
            return (0, vec![Fault::new(FaultKind::Down, "the book of leases cannot be read")]);
        };
        for lease in orphans {
            match Box::pin(in_time(self.take_back(&lease))).await {
                Ok(()) if book.strike(&lease.id).is_ok() => gone += 1,
                Ok(()) => {
                    faults
                        .push(Fault::new(FaultKind::Down, "the book of leases cannot be written"));
                }
                Err(fault) if book.is_news(&lease, &fault.to_string()) => faults.push(fault),
                Err(_) => {}
            }
        }
        (gone, faults)
    }

    async fn take_back(&self, lease: &Lease) -> Result<(), Fault> {
        let lost = || {
            let what = format!(
                "a lease for `{}` is left, and nothing here can take it back",
                lease.subject
            );
            Fault::new(FaultKind::Missing, what)
        };
        match (lease.back_end.as_str(), &lease.handle) {
            ("vault", Some(handle)) => self.session()?.revoke(handle, self).await,
            // It was asked for, and the answer is lost with its name: it ends by itself.
            ("vault", None) => Ok(()),
            (github::BACK_END, _) => self.take_token_back(lease).await,
            ("postgres", Some(role)) => {
                let name = SecretName::parse(&lease.subject).map_err(|_| lost())?;
                let declared = self.0.secrets.get(&name).ok_or_else(lost)?;
                let Origin::Role(mint) = &declared.from else { return Err(lost()) };
                let admin = self.inner(&mint.password).await?;
                mint.drop_role(&self.0.resolver, &admin, role).await
            }
            _ => Err(lost()),
        }
    }
}
