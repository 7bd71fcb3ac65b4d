//! What did a back end give, and how long is it good? Values by field, kept no longer than they live.

use crate::fault::{Fault, FaultKind};
use crate::secret::SecretValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One answer of a back end: a single value, or several that belong together, such as a user and a password.
#[expect(missing_debug_implementations, reason = "a secret has no printed form")]
pub struct Material {
    fields: BTreeMap<String, Arc<SecretValue>>,
    /// How long it is good; `None` leaves that to who asked.
    pub(super) lives: Option<Duration>,
}

impl Material {
    pub(super) fn single(value: SecretValue) -> Self {
        Self::new([(VALUE.to_owned(), value)])
    }

    pub(super) fn new(fields: impl IntoIterator<Item = (String, SecretValue)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name, Arc::new(value))).collect();
        Self { fields, lives: None }
    }

    /// Values that others hold too.
    pub(super) fn shared<const N: usize>(fields: [(&str, Arc<SecretValue>); N]) -> Self {
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        Self { fields, lives: None }
    }

    pub(super) fn living(self, lives: Duration) -> Self {
        Self { lives: Some(lives), ..self }
    }

    /// The same values once more, for another while.
    pub(super) fn again(&self) -> Self {
        Self { fields: self.fields.clone(), lives: None }
    }

    /// The field of this name; a single value is called `value`.
    pub fn field(&self, name: &str) -> Result<Arc<SecretValue>, Fault> {
        let found = self.fields.get(name).filter(|value| !value.is_empty());
        // The name comes from the configuration; those that are there come from a back end.
        found
            .cloned()
            .ok_or_else(|| Fault::new(FaultKind::Missing, format!("there is no field `{name}`")))
    }

    /// Every value, for the redactor.
    pub fn values(&self) -> impl Iterator<Item = &Arc<SecretValue>> {
        self.fields.values()
    }
}

/// The field of a single value.
pub(super) const VALUE: &str = "value";
