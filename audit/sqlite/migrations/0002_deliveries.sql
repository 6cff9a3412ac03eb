-- What other nodes delivered of a message, and what slow sessions did not get. A message's deliveries of one node add up in one row.

CREATE TABLE audit_deliveries (
  at         TEXT    NOT NULL,
  message    TEXT    NOT NULL,
  node       TEXT    NOT NULL,
  namespace  TEXT    NOT NULL,
  channel    TEXT    NOT NULL,
  deliveries INTEGER NOT NULL,
  drops      INTEGER NOT NULL,
  PRIMARY KEY (message, node)
);
CREATE INDEX audit_deliveries_at ON audit_deliveries (at);

CREATE TABLE audit_drops (
  at       TEXT    NOT NULL,
  node     TEXT    NOT NULL,
  session  TEXT    NOT NULL,
  user     TEXT    NOT NULL,
  reason   TEXT    NOT NULL,
  messages INTEGER NOT NULL
);
CREATE INDEX audit_drops_at ON audit_drops (at);
CREATE INDEX audit_drops_session ON audit_drops (session);

-- Messages with the deliveries of all nodes.
CREATE VIEW audit_messages_delivered AS
SELECT at, id, node, namespace, channel, user, session, client_id, "offset", size,
  deliveries + (SELECT coalesce(sum(d.deliveries), 0) FROM audit_deliveries d WHERE d.message = id) AS deliveries,
  (SELECT coalesce(sum(d.drops), 0) FROM audit_deliveries d WHERE d.message = id) AS drops,
  verdict, content_type, payload, tags
FROM audit_messages;

-- The batches that were stored last, so that one that comes again is not stored again.
CREATE TABLE zenconn_batches (
  number INTEGER PRIMARY KEY,
  token  TEXT NOT NULL UNIQUE
);
