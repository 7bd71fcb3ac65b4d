//! Which attacks were tried, and what stopped each? Prints what the attack tests have told; see `just attack-table`.
use std::collections::BTreeMap;
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("give the file that the tests wrote")?;
    let told = std::fs::read_to_string(path)?;
    // One row for each attack, with who tried it; the last evidence stands.
    let mut rows: BTreeMap<[&str; 4], (Vec<&str>, &str)> = BTreeMap::new();
    for line in told.lines() {
        let [id, tier, user, tried, wall, evidence] = columns(line)?;
        let row = rows.entry([id, tier, tried, wall]).or_default();
        if !row.0.contains(&user) {
            row.0.push(user);
        }
        row.1 = evidence;
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| attack | tier | as | tried | wall that stopped it | evidence |\n|---|---|---|---|---|---|"
    )?;
    for ([id, tier, tried, wall], (mut users, evidence)) in rows {
        users.sort_unstable();
        let cells = [tried, wall, evidence].map(|cell| cell.replace('|', "\\|"));
        writeln!(out, "| {id} | {tier} | {} | {} |", users.join(", "), cells.join(" | "))?;
    }
    Ok(())
}

fn columns(line: &str) -> Result<[&str; 6], String> {
    let columns: Vec<_> = line.split('\t').collect();
    columns.try_into().map_err(|_| format!("not a line of the table: `{line}`"))
}
