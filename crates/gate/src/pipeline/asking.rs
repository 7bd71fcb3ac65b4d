//! What is a person asked? About one call, shown whole, once however often it is proposed.

use super::{Pipeline, SHORT_ID};
use crate::call::{CheckedCall, Pending};
use crate::gates::approval;
use crate::policy::PolicyRef;
use crate::record::{self, Known};
use crate::refusal::Refusal;
use bartizan_store::{NewQuestion, StoreError};
use serde_json::json;

impl Pipeline {
    /// Puts the question to people and says which one it is: the refusal that the agent gets until
    /// they have answered. The same call asked twice is one question.
    pub fn ask(&self, pending: Pending) -> Refusal {
        let Pending { call, checked, quorum } = pending;
        let session = checked.identified.session().clone();
        let CheckedCall { policy, identified, listed, scoped, .. } = &checked;
        let policies = approval::judge(policy, identified, listed, scoped, &[]).policies;
        let refused = match self.question(&checked, quorum, &policies) {
            Ok(question) => {
                let (tool, target) = (listed.tool().name().to_string(), scoped.on_target());
                Refusal::ApprovalRequired { tool, target, question, quorum, policies }
            }
            Err(refused) => refused,
        };
        self.refuse(&session, &call, Known::checked(&checked), refused)
    }

    fn question(
        &self,
        call: &CheckedCall,
        quorum: u32,
        policies: &[PolicyRef],
    ) -> Result<String, Refusal> {
        let arguments = call.scoped.arguments();
        // Nobody says yes to what they cannot see whole.
        let bytes = arguments.to_string().len();
        if bytes > SHOWN_MAX {
            let tool = call.listed.tool().name().to_string();
            let what = format!("a person has to read them first, and {bytes} bytes are too many");
            return Err(Refusal::ArgumentsInvalid { tool, what });
        }
        let mut shown = json!({
            "agent": call.identified.agent(),
            "role": call.identified.role(),
            "tool": call.listed.tool().name(),
            "effect": call.rated.effect(),
            "arguments": arguments,
            "target": call.scoped.target(),
            "host": call.granted.host().map(ToString::to_string),
            "secret": call.granted.secret(),
            "origins": record::origins(call.scoped.origins()),
            "policies": policies,
        });
        if let (Some(why), Some(shown)) = (&call.doubted, shown.as_object_mut()) {
            shown.insert("doubted".to_owned(), json!(why));
        }
        let asked = self.parts.desk.ask(NewQuestion {
            session: call.identified.session().to_string(),
            agent: call.identified.agent().to_string(),
            tool: call.listed.tool().name().to_string(),
            digest: call.scoped.digest(),
            policy: call.policy.digest(),
            quorum,
            shown: self.redacted(shown),
            expires_in: self.parts.question_lifetime,
        });
        let question = asked.map_err(|error| match error {
            StoreError::TooManyPending { .. } => Refusal::DeskFull,
            error => Refusal::DeskUnavailable { cause: error.to_string() },
        })?;
        Ok(question.id.chars().take(SHORT_ID).collect())
    }
}

/// The longest arguments that a person is asked about, in bytes as JSON; the desk takes twice as much with the rest.
const SHOWN_MAX: usize = 128 * 1024;
