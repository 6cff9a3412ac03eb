-- Counts by the minute, kept longer than the events they count. Sum their columns when asking; merge users and latency.

CREATE TABLE IF NOT EXISTS audit_messages_1m (
  minute     DateTime('UTC'),
  namespace  LowCardinality(String),
  channel    String CODEC(ZSTD(1)),
  messages   SimpleAggregateFunction(sum, UInt64),
  bytes      SimpleAggregateFunction(sum, UInt64),
  deliveries SimpleAggregateFunction(sum, UInt64),
  users      AggregateFunction(uniqCombined(12), String)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, namespace, channel)
TTL minute + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS audit_messages_1m_mv TO audit_messages_1m AS
SELECT toStartOfMinute(toDateTime(at, 'UTC')) AS minute, namespace, channel, count() AS messages, sum(size) AS bytes, sum(deliveries) AS deliveries, uniqCombinedState(12)(user) AS users
FROM audit_messages GROUP BY minute, namespace, channel;

CREATE TABLE IF NOT EXISTS audit_decisions_1m (
  minute   DateTime('UTC'),
  node     LowCardinality(String),
  hook     LowCardinality(String),
  plugin   LowCardinality(String),
  verdict  Enum8('allow' = 1, 'modify' = 2, 'drop' = 3, 'reject' = 4, 'error' = 5, 'timeout' = 6),
  reason   LowCardinality(String),
  n        SimpleAggregateFunction(sum, UInt64),
  latency_max SimpleAggregateFunction(max, UInt32),
  latency  AggregateFunction(quantilesTDigest(0.5, 0.99), UInt32)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (hook, verdict, minute, node, plugin, reason)
TTL minute + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS audit_decisions_1m_mv TO audit_decisions_1m AS
SELECT toStartOfMinute(toDateTime(at, 'UTC')) AS minute, node, hook, plugin, verdict, reason, count() AS n, max(latency_us) AS latency_max, quantilesTDigestState(0.5, 0.99)(latency_us) AS latency
FROM audit_decisions GROUP BY minute, node, hook, plugin, verdict, reason;
