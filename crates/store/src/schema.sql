PRAGMA application_id = 0x4252545a;
PRAGMA user_version = 1;

-- Where the log ends: one row.
CREATE TABLE log (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  log_id   TEXT    NOT NULL,
  size     INTEGER NOT NULL,
  leaf     BLOB    NOT NULL,
  frontier BLOB    NOT NULL,
  anchored INTEGER NOT NULL
) STRICT;

-- `record` is what is hashed; the columns before it only find it.
CREATE TABLE records (
  seq     INTEGER PRIMARY KEY,
  time_ms INTEGER NOT NULL,
  event   TEXT    NOT NULL,
  session TEXT,
  record  TEXT    NOT NULL,
  leaf    BLOB    NOT NULL
) STRICT;
CREATE INDEX records_by_session ON records (session) WHERE session IS NOT NULL;

CREATE TABLE checkpoints (
  size     INTEGER PRIMARY KEY,
  note     TEXT    NOT NULL,
  frontier BLOB    NOT NULL
) STRICT;

CREATE TABLE questions (
  id         TEXT    PRIMARY KEY,
  session    TEXT    NOT NULL,
  agent      TEXT    NOT NULL,
  tool       TEXT    NOT NULL,
  digest     BLOB    NOT NULL,
  policy     BLOB    NOT NULL,
  quorum     INTEGER NOT NULL,
  shown      TEXT    NOT NULL,
  asked_ms   INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  used_ms    INTEGER
) STRICT;
CREATE INDEX questions_by_key ON questions (session, digest, policy);
CREATE INDEX questions_by_expiry ON questions (expires_ms);

CREATE TABLE answers (
  question    TEXT    NOT NULL REFERENCES questions (id),
  approver    TEXT    NOT NULL,
  verdict     TEXT    NOT NULL CHECK (verdict IN ('approve', 'deny')),
  reason      TEXT    NOT NULL,
  answered_ms INTEGER NOT NULL,
  PRIMARY KEY (question, approver)
) STRICT;

CREATE TABLE sessions (
  id            TEXT    PRIMARY KEY,
  agent         TEXT    NOT NULL,
  pid           INTEGER NOT NULL,
  started_ticks INTEGER NOT NULL,
  boot_id       TEXT    NOT NULL,
  workspace     TEXT    NOT NULL,
  argv          TEXT    NOT NULL,
  started_ms    INTEGER NOT NULL,
  ended_ms      INTEGER,
  exit          INTEGER,
  report        TEXT
) STRICT;
CREATE INDEX sessions_open ON sessions (started_ms) WHERE ended_ms IS NULL;
