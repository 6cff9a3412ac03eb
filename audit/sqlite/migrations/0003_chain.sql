-- The chain that makes the record tamper-evident, what was erased of it, and what messages did not have: the hash of a payload that is not
-- kept, and the decisions about them.

ALTER TABLE audit_messages ADD COLUMN payload_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_messages ADD COLUMN decisions JSON TEXT NOT NULL DEFAULT '[]';

DROP VIEW audit_messages_delivered;
CREATE VIEW audit_messages_delivered AS
SELECT at, id, node, namespace, channel, user, session, client_id, "offset", size,
  deliveries + (SELECT coalesce(sum(d.deliveries), 0) FROM audit_deliveries d WHERE d.message = id) AS deliveries,
  (SELECT coalesce(sum(d.drops), 0) FROM audit_deliveries d WHERE d.message = id) AS drops,
  verdict, content_type, payload, payload_hash, tags, decisions
FROM audit_messages;

CREATE TABLE audit_chain (
  at       TEXT    NOT NULL,
  node     TEXT    NOT NULL,
  life     TEXT    NOT NULL,
  number   INTEGER NOT NULL,
  first_at TEXT    NOT NULL,
  last_at  TEXT    NOT NULL,
  events   INTEGER NOT NULL,
  previous TEXT    NOT NULL,
  digest   TEXT    NOT NULL,
  entries  BLOB    NOT NULL
);
CREATE INDEX audit_chain_life ON audit_chain (life, number);
CREATE INDEX audit_chain_last_at ON audit_chain (last_at);

CREATE TABLE audit_erasures (
  at      TEXT NOT NULL,
  id      TEXT NOT NULL,
  kind    TEXT NOT NULL,
  event   TEXT NOT NULL,
  content TEXT NOT NULL
);
CREATE INDEX audit_erasures_id ON audit_erasures (id);
