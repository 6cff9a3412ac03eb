-- One table per kind of event, ordered by what is asked most. Deduplication windows count blocks: a batch that is sent again within
-- the last 10,000 is stored once.

CREATE TABLE IF NOT EXISTS audit_messages (
  at           DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  id           UUID CODEC(ZSTD(1)),
  node         LowCardinality(String),
  namespace    LowCardinality(String),
  channel      String CODEC(ZSTD(1)),
  user         String CODEC(ZSTD(1)),
  session      UUID CODEC(ZSTD(1)),
  client_id    String CODEC(ZSTD(1)),
  offset       UInt64 CODEC(Delta, ZSTD(1)),
  size         UInt32 CODEC(T64, ZSTD(1)),
  deliveries   UInt32 CODEC(T64, ZSTD(1)),
  verdict      Enum8('allow' = 1, 'modify' = 2, 'drop' = 3),
  content_type LowCardinality(String),
  payload      String CODEC(ZSTD(3)),
  tags         Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  INDEX ix_id id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_session session TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_at at TYPE minmax GRANULARITY 1,
  PROJECTION by_user (SELECT _part_offset ORDER BY (user, at))
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (namespace, channel, at, id)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS audit_sessions (
  connected_at    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  disconnected_at DateTime64(3, 'UTC') DEFAULT toDateTime64(0, 3, 'UTC') CODEC(ZSTD(1)),
  session         UUID,
  node            LowCardinality(String),
  node_epoch      UInt64,
  worker          UInt16,
  user            String CODEC(ZSTD(1)),
  transport       LowCardinality(String),
  protocol        LowCardinality(String),
  remote_addr     IPv6 CODEC(ZSTD(1)),
  user_agent      LowCardinality(String),
  msgs_in         UInt64 CODEC(T64, ZSTD(1)),
  msgs_out        UInt64 CODEC(T64, ZSTD(1)),
  bytes_in        UInt64 CODEC(T64, ZSTD(1)),
  bytes_out       UInt64 CODEC(T64, ZSTD(1)),
  close_code      UInt16,
  close_reason    LowCardinality(String),
  version         UInt8,
  INDEX ix_session session TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_user user TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(connected_at)
ORDER BY (node, connected_at, session)
TTL toDateTime(connected_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS audit_decisions (
  at        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  id        UUID,
  node      LowCardinality(String),
  hook      LowCardinality(String),
  plugin    LowCardinality(String),
  plugin_hash LowCardinality(String),
  verdict   Enum8('allow' = 1, 'modify' = 2, 'drop' = 3, 'reject' = 4, 'error' = 5, 'timeout' = 6),
  reason    LowCardinality(String),
  user      String CODEC(ZSTD(1)),
  session   UUID,
  channel   String CODEC(ZSTD(1)),
  message   UUID,
  remote_addr IPv6,
  latency_us UInt32 CODEC(T64, ZSTD(1)),
  INDEX ix_user user TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_message message TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (hook, verdict, at, id)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS audit_actions (
  at      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  id      UUID,
  node    LowCardinality(String),
  actor   String,
  actor_kind LowCardinality(String),
  action  LowCardinality(String),
  target  String,
  ok      Bool,
  error   String,
  remote_addr IPv6,
  request String CODEC(ZSTD(3)),
  latency_us UInt32
) ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (actor, at, id)
TTL toDateTime(at) + INTERVAL 3 YEAR DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
