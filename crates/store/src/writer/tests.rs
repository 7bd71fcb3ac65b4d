//! Is anything lost that could not be written?
use super::*;

#[test]
fn what_nobody_waits_for_is_kept_when_not_even_the_beginning_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::prepare(folder.path()).unwrap();
    let seal = Arc::new(dir.seal().unwrap());
    let log_id = seal.public().log_id().to_owned();
    let connection = database::open_writer(&dir, &log_id).unwrap();
    let mut writer = Writer::new(connection, Arc::default(), seal, dir.clone());
    writer.connection.busy_timeout(Duration::ZERO).unwrap();
    let other = Connection::open(dir.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let entry = |number: u64| Entry::new(Event::Call).with("n", number);
    let prepared = |number| Box::new(Prepared::new(entry(number), &log_id).unwrap());
    let jobs = (0..3).map(|number| Job::Append { prepared: prepared(number), reply: None });
    assert!(writer.commit(jobs.collect(), false).is_err());
    assert_eq!(writer.unwritten.len(), 3);
    other.execute_batch("ROLLBACK").unwrap();
    let late = std::mem::take(&mut writer.unwritten).into_iter();
    let jobs = late.map(|prepared| Job::Append { prepared: Box::new(prepared), reply: None });
    writer.commit(jobs.collect(), false).unwrap();
    assert_eq!(Head::read(&writer.connection.transaction().unwrap()).unwrap().tree.size(), 3);
}
