//! Who had to do with what? Calls counted by role, tool and host over the end of the log.
use crate::StoreError;
use crate::export::Reader;
use rusqlite::params;

/// What agents of one role did with one tool, at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tie {
    /// The role.
    pub role: String,
    /// The tool.
    pub tool: String,
    /// The host and port, as the record writes them; empty when it names none.
    pub host: String,
    /// What such a call does to the world; empty when it was refused before that was known.
    pub effect: String,
    /// Calls that were made.
    pub made: u64,
    /// Calls for which a person was asked.
    pub asked: u64,
    /// Calls that were denied.
    pub denied: u64,
}

impl Reader {
    /// The ties of one role, or of all, the busiest first, at most 500. Only the last 50,000 records are counted, so that it
    /// takes no longer on a log of millions.
    pub fn ties(&self, role: Option<&str>) -> Result<Vec<Tie>, StoreError> {
        let low = self.size()?.saturating_sub(REACH);
        self.read(|db| {
            let mut statement = db.prepare_cached(COUNT)?;
            let tie = |row: &rusqlite::Row<'_>| {
                Ok(Tie {
                    role: row.get(0)?,
                    tool: row.get(1)?,
                    host: row.get(2)?,
                    effect: row.get(3)?,
                    made: row.get(4)?,
                    asked: row.get(5)?,
                    denied: row.get(6)?,
                })
            };
            statement.query_map(params![low, role], tie)?.collect()
        })
    }
}

/// A call that was refused at once names its host among its arguments alone. Whatever is no text counts as none.
const COUNT: &str = "WITH told AS (
    SELECT event, json_extract(record, '$.role') AS role, json_extract(record, '$.tool') AS tool,
        coalesce(json_extract(record, '$.host'),
            CASE WHEN json_extract(record, '$.tool') LIKE 'net.%' THEN
                json_extract(record, '$.arguments.host') || ':' || json_extract(record, '$.arguments.port') END, '') AS host,
        coalesce(json_extract(record, '$.effect'), '') AS effect, json_extract(record, '$.verdict') AS verdict
    FROM records WHERE seq >= ?1 AND event IN ('call', 'refusal') AND json_valid(record))
    SELECT CAST(role AS TEXT), CAST(tool AS TEXT), CAST(host AS TEXT), CAST(max(effect) AS TEXT),
        count(*) FILTER (WHERE event = 'call'),
        count(*) FILTER (WHERE event = 'refusal' AND verdict = 'ask'),
        count(*) FILTER (WHERE event = 'refusal' AND verdict = 'deny')
    FROM told WHERE role IS NOT NULL AND tool IS NOT NULL AND (?2 IS NULL OR role = ?2)
    GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3 LIMIT 500";
/// Records that are counted at most.
const REACH: u64 = 50_000;
