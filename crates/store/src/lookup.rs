//! By what is a record found without reading those before it? By the fields that people search for, each with an index.

/// The fields of a record that it is found by, beside the columns.
const FIELDS: [&str; 5] = ["agent", "call", "host", "tool", "verdict"];

/// The condition that a record's own `field` has the value `?#`. In the very words of its index, or that would not serve.
pub(crate) fn condition(field: &str) -> String {
    format!("{} AND {} = ?#", present(field), value(field))
}

/// What makes the indexes; at each start, since a database of an earlier version has none.
pub(crate) fn indexes() -> String {
    let of_field = |field: &&str| {
        let (value, present) = (value(field), present(field));
        format!(
            "CREATE INDEX IF NOT EXISTS records_by_{field} ON records ({value}) WHERE {present};\n"
        )
    };
    FIELDS.iter().map(of_field).chain([COLUMNS.to_owned()]).collect()
}

/// Names stand on a record in one way only, so most that lack one need no parsing to be passed over.
fn present(field: &str) -> String {
    format!("instr(record, '\"{field}\":') > 0")
}

/// A record that somebody has damaged has no fields, and no error.
fn value(field: &str) -> String {
    format!("CASE WHEN json_valid(record) THEN json_extract(record, '$.{field}') END")
}

const COLUMNS: &str = "CREATE INDEX IF NOT EXISTS records_by_event ON records (event);
CREATE INDEX IF NOT EXISTS records_by_time ON records (time_ms);\n";

#[cfg(test)]
mod tests {
    use crate::{Durability, Entry, Event, Filter, Ledger as _, Store};

    /// How the database would look for what a filter wants.
    fn plan(store: &Store, filter: &Filter) -> String {
        let (conditions, values) = filter.to_sql();
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT seq FROM records{conditions} ORDER BY seq DESC LIMIT 9"
        );
        let lines = store.reader().read(|db| {
            let mut statement = db.prepare(&sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get(3))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        });
        lines.unwrap().join("\n")
    }

    #[test]
    fn each_search_by_a_field_is_served_by_its_index_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let some = Some("x".to_owned());
        for (field, filter) in [
            ("agent", Filter { agent: some.clone(), ..Filter::default() }),
            ("call", Filter { call: some.clone(), ..Filter::default() }),
            ("host", Filter { host: some.clone(), ..Filter::default() }),
            ("tool", Filter { tool: some.clone(), ..Filter::default() }),
            ("verdict", Filter { verdict: some.clone(), ..Filter::default() }),
            ("event", Filter { event: Some(Event::Flag), ..Filter::default() }),
            ("session", Filter { session: some.clone(), ..Filter::default() }),
        ] {
            for filter in
                [filter.clone(), Filter { from_seq: Some(3), before_seq: Some(9), ..filter }]
            {
                let plan = plan(&store, &filter);
                assert!(plan.contains(&format!("records_by_{field}")), "{field}: {plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{field} is sorted: {plan}");
            }
        }
    }

    #[test]
    fn an_index_is_made_for_what_is_there_and_a_damaged_record_hinders_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for tool in ["Read", "Bash"] {
            let entry = Entry::new(Event::Call).with("tool", tool);
            let _receipt = store.append(entry, Durability::Durable).unwrap();
        }
        let as_before = |batch: &mut crate::writer::Batch<'_>| {
            batch.transaction.execute("DROP INDEX records_by_tool", [])?;
            batch
                .transaction
                .execute("UPDATE records SET record = '{\"tool\":' WHERE seq = 0", [])?;
            Ok(Ok(()))
        };
        store.work(as_before).unwrap();
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        let found = |tool: &str| {
            let filter = Filter { tool: Some(tool.to_owned()), ..Filter::default() };
            again.reader().page(&filter, 9).unwrap().len()
        };
        assert_eq!((found("Read"), found("Bash")), (0, 1));
    }
}
