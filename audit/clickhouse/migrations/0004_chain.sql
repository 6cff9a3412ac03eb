-- The chain that makes the record tamper-evident, what was erased of it, and what messages did not have: the hash of a payload that is not
-- kept, and the decisions about them.

ALTER TABLE audit_messages
  ADD COLUMN IF NOT EXISTS payload_hash String CODEC(ZSTD(1)) AFTER payload,
  ADD COLUMN IF NOT EXISTS decisions Array(UUID) CODEC(ZSTD(1)) AFTER tags;

CREATE OR REPLACE VIEW audit_messages_delivered AS
SELECT m.at AS at, m.id AS id, m.node AS node, m.namespace AS namespace, m.channel AS channel, m.user AS user, m.session AS session,
  m.client_id AS client_id, m.offset AS offset, m.size AS size, m.deliveries + d.deliveries AS deliveries, d.drops AS drops,
  m.verdict AS verdict, m.content_type AS content_type, m.payload AS payload, m.payload_hash AS payload_hash, m.tags AS tags,
  m.decisions AS decisions
FROM audit_messages AS m
LEFT JOIN (SELECT message, sum(deliveries) AS deliveries, sum(drops) AS drops FROM audit_deliveries GROUP BY message) AS d ON d.message = m.id;

CREATE TABLE IF NOT EXISTS audit_chain (
  at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  node     LowCardinality(String),
  life     String CODEC(ZSTD(1)),
  number   UInt64 CODEC(Delta, ZSTD(1)),
  first_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  last_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  events   UInt32 CODEC(T64, ZSTD(1)),
  previous String CODEC(ZSTD(1)),
  digest   String CODEC(ZSTD(1)),
  entries  String CODEC(NONE),
  INDEX ix_at (at, first_at, last_at) TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (life, number)
TTL toDateTime(at) + INTERVAL 3 YEAR DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS audit_erasures (
  at      DateTime64(3, 'UTC'),
  id      UUID,
  kind    LowCardinality(String),
  event   UUID,
  content String CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (id, kind, event)
TTL toDateTime(at) + INTERVAL 3 YEAR DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
