-- Entries of an index that begins with a name land all over it: every batch wrote nearly every page of it again. The rows are now numbered in
-- blocks of a few thousand, and the indexes begin with the block: a batch writes one end of them. Who asks for a user or a channel need not
-- say a block: SQLite looks into one after the other (skip-scan), the newest first, since it is told that a block has many rows.

ALTER TABLE audit_messages ADD COLUMN block INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit_decisions ADD COLUMN block INTEGER NOT NULL DEFAULT 0;

DROP INDEX audit_messages_channel;
DROP INDEX audit_messages_user;
DROP INDEX audit_decisions_user;
CREATE INDEX audit_messages_channel ON audit_messages (block DESC, channel, at DESC);
CREATE INDEX audit_messages_user ON audit_messages (block DESC, user, at DESC);
CREATE INDEX audit_decisions_user ON audit_decisions (block DESC, user, at DESC);

ANALYZE sqlite_schema; -- Makes the table of statistics.
DELETE FROM sqlite_stat1 WHERE tbl IN ('audit_messages', 'audit_decisions');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('audit_messages', 'audit_messages_at', '1048576 2'),
  ('audit_messages', 'audit_messages_id', '1048576 1'),
  ('audit_messages', 'audit_messages_channel', '1048576 8192 8 1'),
  ('audit_messages', 'audit_messages_user', '1048576 8192 8 1'),
  ('audit_decisions', 'audit_decisions_at', '1048576 2'),
  ('audit_decisions', 'audit_decisions_message', '1048576 2'),
  ('audit_decisions', 'audit_decisions_verdict', '1048576 262144 1'),
  ('audit_decisions', 'audit_decisions_user', '1048576 8192 8 1');
ANALYZE sqlite_schema; -- Reads it.
