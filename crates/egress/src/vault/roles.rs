//! Which role of a database does this session have? One at a time, in the book before it is made, dropped at the end.

use super::lease::{self, Lease};
use super::material::{self, Material};
use super::{Declared, Origin, Vault, at_fault, bounded};
use crate::fault::{Fault, FaultKind};
use crate::postgres::{Account, RoleMint, Undone};
use crate::secret::{SecretError, SecretValue};
use bartizan_gate::effect::Warrant;
use bartizan_gate::name::SecretName;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

impl Vault {
    /// As whom a database is logged in to with the one secret that the warrant grants, and the password.
    pub async fn open_account(
        &self,
        warrant: &Warrant<'_>,
    ) -> Result<(Account, Arc<SecretValue>), SecretError> {
        let name = warrant.secret().ok_or_else(|| SecretError::Unknown("(none)".to_owned()))?;
        self.account(name).await
    }

    /// The same by name, for a person who tries it.
    pub async fn account(
        &self,
        name: &SecretName,
    ) -> Result<(Account, Arc<SecretValue>), SecretError> {
        let declared = self.declared(name)?;
        match &declared.from {
            Origin::At(_) | Origin::Aws(_) | Origin::Token(_) => {
                Err(SecretError::Unknown(name.to_string()))
            }
            Origin::Role(mint) => {
                let (account, password) = self.role(name, mint, declared).await?;
                self.hide(name, &password)?;
                Ok((account, password))
            }
        }
    }

    pub(super) async fn role(
        &self,
        name: &SecretName,
        mint: &RoleMint,
        declared: &Declared,
    ) -> Result<(Account, Arc<SecretValue>), SecretError> {
        let key = key(name);
        // In a task of its own: who no longer waits must not leave a role half written down.
        let (vault, own, order) = (self.clone(), name.clone(), mint.clone());
        let minted = async {
            let task = tokio::spawn(async move { vault.make_role(&own, &order).await });
            let made = task.await;
            let made = made.unwrap_or_else(|_| Err(Fault::new(FaultKind::Down, "minting failed")));
            made.map_err(|fault| at_fault(name, fault))
        };
        let asked = self.0.shelf.get(&key, mint.lives, minted);
        let material = bounded(declared, name, asked).await?;
        let field = |which| material.field(which).map_err(|fault| at_fault(name, fault));
        let user = field(USER)?.text().unwrap_or_default().to_owned();
        Ok((Account { user, ..mint.admin.clone() }, field(material::VALUE)?))
    }

    async fn make_role(&self, name: &SecretName, mint: &RoleMint) -> Result<Material, Fault> {
        let Some(book) = &self.0.book else {
            return Err(Fault::new(FaultKind::Down, "there is nowhere to write the role down"));
        };
        let admin = self.inner(&mint.password).await?;
        let before = self.lock_roles().get(name).cloned();
        if let Some((mint, lease)) = before {
            // One that cannot be dropped now stays in mind, and is tried again before another is made.
            self.drop_role(&mint, &admin, &lease).await?;
            self.lock_roles().remove(name);
        }
        // Before anything is written down: where nobody is reached, nothing is made that would have to be taken back.
        let mut link = mint.reach(&self.0.resolver, &admin).await?;
        let lease = Lease::new("postgres", name.as_str())?;
        let user = RoleMint::name(&lease.id);
        let lease = lease.held_as(&user);
        book.write(&lease).map_err(lease::unwritten)?;
        self.lock_roles().insert(name.clone(), (mint.clone(), lease.clone()));
        let password = match mint.make(&mut link, &user).await {
            Ok(password) => password,
            Err(Undone::Unknown(fault)) => return Err(fault),
            // There is nothing to be taken back.
            Err(Undone::Refused(fault)) => {
                self.lock_roles().remove(name);
                return self.strike_role(&lease).and(Err(fault));
            }
        };
        let user = SecretValue::new(user.into_bytes());
        let made = Material::new([(USER.to_owned(), user), (material::VALUE.to_owned(), password)]);
        Ok(made.living(mint.lives.saturating_sub(mint.lives / 10)))
    }

    pub(super) async fn drop_role(
        &self,
        mint: &RoleMint,
        admin: &SecretValue,
        lease: &Lease,
    ) -> Result<(), Fault> {
        if let Some(role) = &lease.handle {
            mint.drop_role(&self.0.resolver, admin, role).await?;
        }
        self.strike_role(lease)
    }

    fn strike_role(&self, lease: &Lease) -> Result<(), Fault> {
        let struck = self.0.book.as_ref().map_or(Ok(()), |book| book.strike(&lease.id));
        struck
            .map_err(|_| Fault::new(FaultKind::Down, "the lease cannot be struck out of the book"))
    }

    pub(super) fn lock_roles(&self) -> MutexGuard<'_, HashMap<SecretName, (RoleMint, Lease)>> {
        self.0.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under which the role stands on the shelf.
pub(super) fn key(name: &SecretName) -> String {
    format!("role of {name}")
}

/// The field of a minted role's name.
const USER: &str = "user";
