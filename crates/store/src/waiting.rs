//! What waits for a person, and who comes first? A page at a time, in an order in which a flood buries nobody's question.
use crate::StoreError;
use crate::clock;
use crate::desk::{Question, QuestionState};
use crate::questions::{self, MAX_CLOCK_STEP_MS};
use crate::store::Store;
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// A page of what waits.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is handed back whole")]
pub struct Waiting {
    /// Those of this page, in their order.
    pub questions: Vec<Question>,
    /// How many wait on all pages.
    pub all: usize,
}

impl Store {
    /// Up to `limit` questions that wait, from the place `from` on. A run that asks a great deal stands behind those that
    /// ask little; in one run the irreversible comes first, and the older before the newer.
    pub fn waiting(&self, from: usize, limit: usize) -> Result<Waiting, StoreError> {
        self.reader().read(|db| {
            let ids = in_order(db)?;
            let mut found = Vec::new();
            for id in ids.iter().skip(from).take(limit) {
                let question = questions::fetch(db, id)?;
                // Answered since they were put in order.
                if question.state == QuestionState::Pending {
                    found.push(question);
                }
            }
            Ok(Waiting { questions: found, all: ids.len() })
        })
    }
}

/// What the order depends on; what people are shown is read for one page alone.
struct Place {
    id: String,
    session: String,
    undone: bool,
    asked_ms: u64,
}

fn in_order(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let now_ms = clock::now_ms();
    let mut statement = db.prepare_cached(SELECT)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Place {
            id: row.get(0)?,
            session: row.get(1)?,
            undone: row.get(2)?,
            asked_ms: row.get(3)?,
        })
    };
    let latest_ms = now_ms.saturating_add(MAX_CLOCK_STEP_MS);
    let rows = statement.query_map(params![now_ms, latest_ms], read)?;
    let mut places = rows.collect::<rusqlite::Result<Vec<Place>>>()?;
    let mut asks: HashMap<String, usize> = HashMap::new();
    for place in &places {
        *asks.entry(place.session.clone()).or_default() += 1;
    }
    places.sort_by(|one, other| {
        let key = |place: &Place| (asks.get(&place.session).copied(), !place.undone);
        let (ours, theirs) = (key(one), key(other));
        let many = ours.0.cmp(&theirs.0).then_with(|| one.session.cmp(&other.session));
        let age = one.asked_ms.cmp(&other.asked_ms).then_with(|| one.id.cmp(&other.id));
        many.then(ours.1.cmp(&theirs.1)).then(age)
    });
    Ok(places.into_iter().map(|place| place.id).collect())
}

/// The open ones are few, and found without those that ever were.
pub(crate) const INDEXES: &str =
    "CREATE INDEX IF NOT EXISTS questions_open ON questions (expires_ms, used_ms) WHERE used_ms IS NULL;
CREATE INDEX IF NOT EXISTS questions_by_asked ON questions (asked_ms);";
const SELECT: &str = "SELECT id, session,
      CASE WHEN json_valid(shown) THEN json_extract(shown, '$.effect') END IS 'irreversible', asked_ms
    FROM questions WHERE used_ms IS NULL AND expires_ms > ?1 AND asked_ms <= ?2
      AND NOT EXISTS (SELECT 1 FROM answers WHERE question = id AND verdict = 'deny')
      AND quorum > (SELECT count(*) FROM answers WHERE question = id AND verdict = 'approve')
      AND NOT EXISTS (SELECT 1 FROM standing WHERE question = id AND until_ms <= ?1)";
