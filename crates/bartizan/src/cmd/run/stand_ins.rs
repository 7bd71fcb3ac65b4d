//! What does a box hold in the place of secrets? Placeholders that the egress knows, and canaries that nobody should touch.

use super::{Run, not_started};
use crate::config::Config;
use crate::report::Failure;
use bartizan_egress::vault::Placeholders;
use bartizan_sandbox::{Access, BoxSpec, SyntheticFile};
use std::ffi::OsString;

/// One for each secret that a program in the box wants to hold.
pub(super) fn placeholders(config: &Config) -> Result<Placeholders, Failure> {
    let held = config.secrets.iter().filter(|(_, secret)| !secret.placeholder.is_empty());
    let planted = config.canaries.iter().map(|(name, canary)| (name.clone(), canary.kind));
    Placeholders::make(held.map(|(name, secret)| (name.clone(), secret.kind)))
        .and_then(|mut made| made.plant(planted).map(|()| made))
        .map_err(|fault| not_started(&fault.to_string()))
}

impl Run {
    /// Puts what stands for the secrets into the variables that programs look into.
    pub(super) fn hold_placeholders(&self, env: &mut Vec<(OsString, OsString)>) {
        for (name, secret) in &self.config.secrets {
            let Some(text) = self.placeholders.of(name) else { continue };
            for variable in &secret.placeholder {
                env.retain(|(own, _)| own != variable.as_str());
                env.push((variable.into(), text.into()));
            }
        }
    }

    /// Puts the canaries where the configuration wants them.
    pub(super) fn plant(&self, spec: &mut BoxSpec) {
        for (name, canary) in &self.config.canaries {
            let Some(text) = self.placeholders.of(name) else { continue };
            for variable in &canary.variables {
                spec.env.retain(|(own, _)| own != variable.as_str());
                spec.env.push((variable.into(), text.into()));
            }
            spec.synthetic.extend(canary.file.iter().map(|file| SyntheticFile {
                path: self.around.home.join(file),
                contents: format!("{text}\n").into_bytes(),
                mode: 0o600,
                access: Access::Writable,
            }));
        }
    }
}
