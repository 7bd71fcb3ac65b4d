//! What does the person know already of tools that cannot be called? Each thing is said once in a session, however often a
//! server's list is read.

use crate::app::Gate;
use crate::report::Problem;
use std::sync::{Arc, Mutex, PoisonError};

/// Clones share what was said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Problem>>>);

impl Told {
    /// Once these were said.
    pub(super) fn of(problems: Vec<Problem>) -> Self {
        Self(Arc::new(Mutex::new(problems)))
    }

    /// Says what is new among `problems`.
    pub(super) fn tell(&self, problems: Vec<Problem>, gate: &Gate) {
        for problem in self.fresh(problems) {
            gate.say(&problem);
        }
    }

    fn fresh(&self, problems: Vec<Problem>) -> Vec<String> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Vec::new();
        for problem in problems {
            if !said.contains(&problem) {
                fresh.push(problem.as_warning().trim_end().to_owned());
                said.push(problem);
            }
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_is_said_once() {
        let problem = |what: &str| Problem::new(what).hint("mend it");
        let told = Told::of(vec![problem("at first")]);
        let fresh = told.clone().fresh(vec![problem("at first"), problem("later")]);
        assert_eq!(fresh.len(), 1);
        assert!(fresh[0].contains("later") && fresh[0].contains("mend it"), "{fresh:?}");
        assert!(told.fresh(vec![problem("later"), problem("at first")]).is_empty());
    }
}
