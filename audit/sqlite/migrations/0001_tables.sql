-- The columns are those of the ClickHouse store, so that the same questions can be asked. Times are UTC with milliseconds as text,
-- which compares and sorts right and suits the date functions; identifiers are the text form of UUIDs; tags is a JSON object.

CREATE TABLE audit_messages (
  at           TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  node         TEXT    NOT NULL,
  namespace    TEXT    NOT NULL,
  channel      TEXT    NOT NULL,
  user         TEXT    NOT NULL,
  session      TEXT    NOT NULL,
  client_id    TEXT    NOT NULL,
  "offset"     INTEGER NOT NULL,
  size         INTEGER NOT NULL,
  deliveries   INTEGER NOT NULL,
  verdict      TEXT    NOT NULL CHECK (verdict IN ('allow', 'modify', 'drop')),
  content_type TEXT    NOT NULL,
  payload      BLOB    NOT NULL, -- Text when it is valid UTF-8, otherwise a blob.
  tags         JSON TEXT NOT NULL
);
CREATE INDEX audit_messages_at ON audit_messages (at);
CREATE INDEX audit_messages_id ON audit_messages (id);
CREATE INDEX audit_messages_channel ON audit_messages (channel, at);
CREATE INDEX audit_messages_user ON audit_messages (user, at);

CREATE TABLE audit_sessions (
  connected_at    TEXT    NOT NULL,
  disconnected_at TEXT    NOT NULL, -- 1970-01-01 00:00:00.000 while open.
  session         TEXT    NOT NULL PRIMARY KEY,
  node            TEXT    NOT NULL,
  node_epoch      INTEGER NOT NULL,
  worker          INTEGER NOT NULL,
  user            TEXT    NOT NULL,
  transport       TEXT    NOT NULL,
  protocol        TEXT    NOT NULL,
  remote_addr     TEXT    NOT NULL,
  user_agent      TEXT    NOT NULL,
  msgs_in         INTEGER NOT NULL,
  msgs_out        INTEGER NOT NULL,
  bytes_in        INTEGER NOT NULL,
  bytes_out       INTEGER NOT NULL,
  close_code      INTEGER NOT NULL,
  close_reason    TEXT    NOT NULL,
  version         INTEGER NOT NULL -- 1 opened, 2 closed.
);
CREATE INDEX audit_sessions_connected_at ON audit_sessions (connected_at);
CREATE INDEX audit_sessions_user ON audit_sessions (user, connected_at);

CREATE TABLE audit_decisions (
  at          TEXT    NOT NULL,
  id          TEXT    NOT NULL,
  node        TEXT    NOT NULL,
  hook        TEXT    NOT NULL,
  plugin      TEXT    NOT NULL,
  plugin_hash TEXT    NOT NULL,
  verdict     TEXT    NOT NULL CHECK (verdict IN ('allow', 'modify', 'drop', 'reject', 'error', 'timeout')),
  reason      TEXT    NOT NULL,
  user        TEXT    NOT NULL,
  session     TEXT    NOT NULL,
  channel     TEXT    NOT NULL,
  message     TEXT    NOT NULL,
  remote_addr TEXT    NOT NULL,
  latency_us  INTEGER NOT NULL
);
CREATE INDEX audit_decisions_at ON audit_decisions (at);
CREATE INDEX audit_decisions_verdict ON audit_decisions (verdict, at);
CREATE INDEX audit_decisions_user ON audit_decisions (user, at);
CREATE INDEX audit_decisions_message ON audit_decisions (message);

CREATE TABLE audit_actions (
  at          TEXT    NOT NULL,
  id          TEXT    NOT NULL,
  node        TEXT    NOT NULL,
  actor       TEXT    NOT NULL,
  actor_kind  TEXT    NOT NULL,
  action      TEXT    NOT NULL,
  target      TEXT    NOT NULL,
  ok          BOOLEAN NOT NULL,
  error       TEXT    NOT NULL,
  remote_addr TEXT    NOT NULL,
  request     TEXT    NOT NULL,
  latency_us  INTEGER NOT NULL
);
CREATE INDEX audit_actions_at ON audit_actions (at);
CREATE INDEX audit_actions_actor ON audit_actions (actor, at);
