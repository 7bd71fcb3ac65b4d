//! Does this link lead to a question, in time and for the first time? The log's key signs it, so nobody else makes one.
//!
//! A link opens a page and answers nothing: whoever follows it still has to be somebody who may answer.
use crate::StoreError;
use crate::clock;
use crate::store::Store;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rusqlite::params;

impl Store {
    /// The end of a link to this question, good once and until `expires_ms`. The same question and time give the same link.
    pub fn link(&self, question: &str, expires_ms: u64) -> String {
        let signature = self.seal().vouch(&text(self.public_key().log_id(), question, expires_ms));
        format!("{question}.{expires_ms}.{}", BASE64.encode(signature))
    }

    /// The question that a link leads to. It is used up by that, before this returns.
    pub fn follow(&self, link: &str) -> Result<String, StoreError> {
        let (question, expires_ms) = self.read_link(link)?;
        if clock::now_ms() >= expires_ms {
            return Err(refused("has expired"));
        }
        let id = question.clone();
        self.work(move |batch| {
            let used: u32 = batch
                .transaction
                .prepare_cached(
                    "SELECT count(*) FROM links WHERE question = ?1 AND expires_ms = ?2",
                )?
                .query_row(params![id, expires_ms], |row| row.get(0))?;
            if used > 0 {
                return Ok(Err(refused("was used before")));
            }
            let now = clock::now_ms();
            // Those that have expired are refused for that.
            batch
                .transaction
                .prepare_cached("DELETE FROM links WHERE expires_ms < ?1")?
                .execute([now])?;
            batch
                .transaction
                .prepare_cached(
                    "INSERT INTO links (question, expires_ms, used_ms) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![id, expires_ms, now])?;
            Ok(Ok(()))
        })?;
        Ok(question)
    }

    fn read_link(&self, link: &str) -> Result<(String, u64), StoreError> {
        let none_of_ours = || refused("is none of this log's");
        let mut parts = link.splitn(3, '.');
        let (Some(question), Some(expires), Some(signature)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(none_of_ours());
        };
        let expires_ms: u64 = expires.parse().map_err(|_| none_of_ours())?;
        if expires_ms.to_string() != expires {
            return Err(none_of_ours());
        }
        let signature = BASE64.decode(signature).map_err(|_| none_of_ours())?;
        let signed = text(self.public_key().log_id(), question, expires_ms);
        if !self.public_key().vouched(&signed, &signature) {
            return Err(none_of_ours());
        }
        Ok((question.to_owned(), expires_ms))
    }
}

fn refused(why: &str) -> StoreError {
    StoreError::Invalid { what: "the link", why: why.to_owned() }
}

/// What is signed. A checkpoint begins with the log's own name, so the one is never taken for the other.
fn text(log_id: &str, question: &str, expires_ms: u64) -> String {
    format!("bartizan.local/link/1\n{log_id}\n{question}\n{expires_ms}\n")
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS links (
  question   TEXT    NOT NULL,
  expires_ms INTEGER NOT NULL,
  used_ms    INTEGER NOT NULL,
  PRIMARY KEY (question, expires_ms)
) STRICT, WITHOUT ROWID;";

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: u64 = u64::MAX >> 12;

    fn why(store: &Store, link: &str) -> String {
        store.follow(link).unwrap_err().to_string()
    }

    #[test]
    fn a_link_is_good_once_also_across_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let link = store.link("0123456789abcdef", LATER);
        assert_eq!(link, store.link("0123456789abcdef", LATER), "a retry says the same");
        assert_eq!(store.follow(&link).unwrap(), "0123456789abcdef");
        assert_eq!(why(&store, &link), "the link was used before");
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        assert_eq!(why(&again, &link), "the link was used before");
    }

    #[test]
    fn what_is_forged_altered_expired_or_another_logs_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let link = store.link("0123456789abcdef", LATER);
        for at in 0..link.len() {
            let mut bytes = link.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let altered = String::from_utf8(bytes).unwrap();
            assert_eq!(why(&store, &altered), "the link is none of this log's", "byte {at}");
        }
        for forged in
            ["", ".", "..", "a.b.c", "0123456789abcdef.9.", "a.1.AAAA", &format!("{link}=")]
        {
            assert_eq!(why(&store, forged), "the link is none of this log's", "{forged}");
        }
        assert_eq!(why(&store, &store.link("0123456789abcdef", 1)), "the link has expired");
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Store::open(elsewhere.path()).unwrap();
        assert_eq!(why(&other, &link), "the link is none of this log's");
        assert!(store.follow(&link).is_ok(), "none of that has used it up");
    }
}
