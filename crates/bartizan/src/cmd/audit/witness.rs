//! Has the log only grown since a witness elsewhere last saw it? Its word for that, on the newest checkpoint.

use super::Desk;
use super::elsewhere::Elsewhere;
use crate::cli::exit;
use crate::clock::date;
use crate::report::{Failure, Problem, safe};
use bartizan_store::{Checkpoint, Store, WitnessKey, submission};

/// The witness's key, as it was typed.
pub(super) fn key(text: &str) -> Result<WitnessKey, Failure> {
    let parsed = text.trim().parse();
    parsed.map_err(|_| {
        let problem = Problem::new(format!("`{}` is not a public key of a witness", safe(text)));
        let hint =
            "a verifier key for cosignatures, as its operator publishes it: NAME+1a2b3c4d+BASE64";
        Failure::new(exit::USAGE, problem.hint(hint))
    })
}

/// The checkpoint with the witness's cosignature on it.
pub(super) fn cosigned(
    desk: &mut Desk<'_>,
    store: &Store,
    (url, key): (&str, &WitnessKey),
    (note, signed): (&str, &Checkpoint),
) -> Result<String, Failure> {
    let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let way = Elsewhere::new(desk, store, ("--witness", &url, None))?;
    let reader = format!("witness-{}", key.id());
    let mut old = store.mark(&reader)?.unwrap_or(0).min(signed.size);
    for _ in 0..TRIES {
        let proof = store.reader().consistency(old, signed.size)?.ok_or_else(|| pruned(old))?;
        let body = submission(old, &proof, note).into_bytes();
        let (status, answer) = way.ask(("text/plain; charset=utf-8", body))?;
        let answer = String::from_utf8_lossy(&answer);
        match status {
            200 => {
                let cosigned = key.take(note, &answer).map_err(|why| unsigned(key, &why))?;
                store.set_mark(&reader, signed.size)?;
                return Ok(cosigned);
            }
            // It has seen the log at another size, and says at which.
            409 => old = seen(&answer, old, signed)?,
            other => return Err(refused(other, store)),
        }
    }
    let what = "the witness named another size each time; somebody else has it sign this log too";
    Err(Failure::new(exit::STATE, Problem::new(what).hint("try again")))
}

/// The size that the witness has seen, which the log must have reached in the same way.
fn seen(answer: &str, told: u64, signed: &Checkpoint) -> Result<u64, Failure> {
    let size: Option<u64> = answer.trim_end().parse().ok();
    match size {
        Some(size) if size > signed.size => {
            let what = format!(
                "the end of the log was cut off: the witness has seen {size} records, {} are here",
                signed.size
            );
            Err(Failure::new(exit::USAGE, Problem::new(what).hint(EVIDENCE)))
        }
        Some(size) if size != told => Ok(size),
        _ => Err(other_log()),
    }
}

fn other_log() -> Failure {
    let what = "the log is not the one that the witness has seen";
    Failure::new(exit::NO, Problem::new(what).hint(EVIDENCE))
}

fn refused(status: u16, store: &Store) -> Failure {
    let (what, hint) = match status {
        403 | 404 => {
            let what = "the witness does not know this log, or not under this key".to_owned();
            (what, format!("give whoever runs it the log's key: {}", store.public_key()))
        }
        422 => return other_log(),
        _ => {
            let what = format!("the witness answers with status {status}");
            (what, "`--witness` is what its documents call the submission prefix".to_owned())
        }
    };
    Failure::new(exit::STATE, Problem::new(what).hint(hint))
}

fn unsigned(key: &WitnessKey, why: &bartizan_store::NoteError) -> Failure {
    let what = format!("the witness did not cosign as `{}`: {why}", safe(key.name()));
    Failure::new(exit::STATE, Problem::new(what).hint("`--witness-key` is another's key"))
}

fn pruned(old: u64) -> Failure {
    let what = format!("the records that would show what came after record {old} were pruned");
    let hint = "anchor at the witness before pruning; for this log it has to begin anew";
    Failure::new(exit::NO, Problem::new(what).hint(hint))
}

/// Holds a checkpoint that was kept to the witness's signature on it, and says when that was.
pub(super) fn check(key: &WitnessKey, note: &str, place: &str) -> Result<String, Failure> {
    match key.cosigned(note) {
        Ok(time_s) => {
            let when = date(time_s.saturating_mul(1000));
            Ok(format!("{place}: cosigned by `{}` on {when}", safe(key.name())))
        }
        Err(why) => {
            let what = format!("`{place}` is not cosigned by `{}`: {why}", safe(key.name()));
            Err(Failure::new(exit::NO, Problem::new(what)))
        }
    }
}

/// One to learn what the witness has seen, one to go on from there, and one where another was in between.
const TRIES: usize = 3;
const EVIDENCE: &str = "keep the state directory as evidence, and run `bartizan audit verify`";
