//! How does a client of the network hear what the gate has refused?

use bartizan_egress::{Refusal as Told, Status};
use bartizan_gate::refusal::Refusal;

/// A refusal of the gate in the egress's words.
pub(crate) fn told(refused: &Refusal) -> Told {
    let told = Told::new(Status::Forbidden, refused.code(), refused.to_string());
    match refused {
        Refusal::ApprovalRequired { question, .. } => told.asking(question.clone()),
        _ => told,
    }
}
