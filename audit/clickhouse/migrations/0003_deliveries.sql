-- What other nodes delivered of a message, and what slow sessions did not get. Rows of one message and node are added up in the background:
-- sum their columns.

CREATE TABLE IF NOT EXISTS audit_deliveries (
  at         DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  message    UUID CODEC(ZSTD(1)),
  node       LowCardinality(String),
  namespace  LowCardinality(String),
  channel    String CODEC(ZSTD(1)),
  deliveries UInt64 CODEC(T64, ZSTD(1)),
  drops      UInt64 CODEC(T64, ZSTD(1)),
  INDEX ix_at at TYPE minmax GRANULARITY 1
) ENGINE = SummingMergeTree((deliveries, drops))
PARTITION BY toYYYYMMDD(at)
ORDER BY (message, node)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS audit_drops (
  at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  node     LowCardinality(String),
  session  UUID CODEC(ZSTD(1)),
  user     String CODEC(ZSTD(1)),
  reason   LowCardinality(String),
  messages UInt32 CODEC(T64, ZSTD(1)),
  INDEX ix_session session TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (at, session)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS audit_deliveries_1m_mv TO audit_messages_1m AS
SELECT toStartOfMinute(toDateTime(at, 'UTC')) AS minute, namespace, channel, sum(deliveries) AS deliveries
FROM audit_deliveries GROUP BY minute, namespace, channel;

CREATE VIEW IF NOT EXISTS audit_messages_delivered AS
SELECT m.at AS at, m.id AS id, m.node AS node, m.namespace AS namespace, m.channel AS channel, m.user AS user, m.session AS session,
  m.client_id AS client_id, m.offset AS offset, m.size AS size, m.deliveries + d.deliveries AS deliveries, d.drops AS drops,
  m.verdict AS verdict, m.content_type AS content_type, m.payload AS payload, m.tags AS tags
FROM audit_messages AS m
LEFT JOIN (SELECT message, sum(deliveries) AS deliveries, sum(drops) AS drops FROM audit_deliveries GROUP BY message) AS d ON d.message = m.id;
