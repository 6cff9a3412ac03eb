package ask

// Questions returns all questions, in the order in which they are listed.
func Questions() []Question {
	return []Question{
		{
			Name: "top-channels", Short: "The channels with the most messages", Recent: true, SQL: topChannels,
			Chart: Chart{Labels: []string{"channel"}, Value: "messages"},
		},
		{Name: "user-history", Argument: "USER", Example: "alice", Short: "What a user did and what happened to them, newest first", SQL: userHistory, parse: text},
		{
			Name: "denials", Short: "What was refused, by which version of which plugin, and how often", Recent: true, SQL: denials,
			Chart: Chart{Labels: []string{"hook", "plugin", "reason"}, Value: "n"},
		},
		{
			Name: "connections-at", Argument: "TIME", Example: `"2026-11-21 14:03"`, Short: "Who was connected to which node at a time", SQL: connectionsAt, parse: moment,
			Chart: Chart{SQL: connectionsByNode, Labels: []string{"node"}, Value: "connections"},
		},
		{
			Name: "slow-consumers", Short: "Who did not get messages because they were too slow", Recent: true, SQL: slowConsumers,
			Chart: Chart{Labels: []string{"user"}, Value: "lost"},
		},
		{Name: "message", Argument: "ID", Example: "0193a5b0-0000-7000-8000-00000000000a", Short: "What became of a message: what was decided about it, and who got it", SQL: message, parse: identifier},
	}
}

// The statements are SQL that ClickHouse and SQLite understand alike. ClickHouse joins nothing as an empty row, SQLite as NULL: hence
// coalesce. It wants the parts of a UNION to have the same types: hence CAST.

const topChannels = `SELECT m.channel AS channel, m.messages AS messages, m.users AS users, m.bytes AS bytes,
  m.own + coalesce(d.others, 0) AS deliveries, coalesce(d.lost, 0) AS drops
FROM (
  SELECT channel, count(*) AS messages, count(DISTINCT user) AS users, sum(size) AS bytes, sum(deliveries) AS own
  FROM audit_messages WHERE at >= @since AND at < @until GROUP BY channel ORDER BY messages DESC, channel LIMIT @limit
) AS m LEFT JOIN (
  SELECT channel, sum(deliveries) AS others, sum(drops) AS lost
  FROM audit_deliveries WHERE at >= @since AND at < @until GROUP BY channel
) AS d ON d.channel = m.channel
ORDER BY messages DESC, channel`

// Each part is limited by itself, so that nothing has to sort all that a busy user ever did.
const userHistory = `SELECT at, what, verdict, channel, detail, node, session FROM (
  SELECT * FROM (
    SELECT connected_at AS at, 'connected' AS what, '' AS verdict, '' AS channel,
      CAST(transport AS TEXT) || ' from ' || replace(CAST(remote_addr AS TEXT), '::ffff:', '') || ' ' || CAST(user_agent AS TEXT) AS detail,
      CAST(node AS TEXT) AS node, CAST(session AS TEXT) AS session
    FROM audit_sessions WHERE user = @about AND connected_at >= @since AND connected_at < @until ORDER BY connected_at DESC LIMIT @limit
  )
  UNION ALL SELECT * FROM (
    SELECT disconnected_at AS at, 'disconnected' AS what, '' AS verdict, '' AS channel,
      CAST(close_code AS TEXT) || ' ' || CAST(close_reason AS TEXT) AS detail, CAST(node AS TEXT) AS node, CAST(session AS TEXT) AS session
    FROM audit_sessions WHERE user = @about AND version % 3 <> 1 AND disconnected_at >= @since AND disconnected_at < @until
    ORDER BY disconnected_at DESC LIMIT @limit
  )
  UNION ALL SELECT * FROM (
    SELECT at, 'message' AS what, CAST(verdict AS TEXT) AS verdict, channel,
      CASE WHEN payload_hash <> '' THEN 'sha256:' || payload_hash ELSE payload END AS detail,
      CAST(node AS TEXT) AS node, CAST(session AS TEXT) AS session
    FROM audit_messages WHERE user = @about AND at >= @since AND at < @until ORDER BY at DESC LIMIT @limit
  )
  UNION ALL SELECT * FROM (
    SELECT at, 'decision' AS what, CAST(verdict AS TEXT) AS verdict, channel,
      CAST(hook AS TEXT) || ' by ' || CAST(plugin AS TEXT) || ' ' || CAST(plugin_hash AS TEXT) || ': ' || CAST(reason AS TEXT) AS detail,
      CAST(node AS TEXT) AS node, CAST(session AS TEXT) AS session
    FROM audit_decisions WHERE user = @about AND at >= @since AND at < @until ORDER BY at DESC LIMIT @limit
  )
  UNION ALL SELECT * FROM (
    SELECT at, 'not delivered' AS what, CAST(reason AS TEXT) AS verdict, '' AS channel, CAST(messages AS TEXT) || ' messages' AS detail,
      CAST(node AS TEXT) AS node, CAST(session AS TEXT) AS session
    FROM audit_drops WHERE user = @about AND at >= @since AND at < @until ORDER BY at DESC LIMIT @limit
  )
  UNION ALL SELECT * FROM (
    SELECT at, 'action' AS what, CASE WHEN ok THEN 'ok' ELSE 'failed' END AS verdict, '' AS channel,
      CAST(action AS TEXT) || ' by ' || CAST(actor_kind AS TEXT) || ' ' || actor AS detail, CAST(node AS TEXT) AS node, '' AS session
    FROM audit_actions WHERE target = @about AND at >= @since AND at < @until ORDER BY at DESC LIMIT @limit
  )
) AS history ORDER BY at DESC, what, detail LIMIT @limit`

const denials = `SELECT hook, plugin, plugin_hash, verdict, reason, count(*) AS n, count(DISTINCT user) AS users, max(at) AS latest
FROM audit_decisions WHERE verdict IN ('reject', 'drop', 'error', 'timeout') AND at >= @since AND at < @until
GROUP BY hook, plugin, plugin_hash, verdict, reason ORDER BY n DESC, hook, plugin, plugin_hash, verdict, reason LIMIT @limit`

// A session was there when it had begun and had not ended; one that has not ended has a version of one more than a multiple of three.
const thenConnected = ` FROM audit_sessions WHERE connected_at <= @about AND (disconnected_at > @about OR version % 3 = 1) `

const connectionsAt = `SELECT node, user, connected_at, disconnected_at, transport, remote_addr, session` + thenConnected +
	`ORDER BY node, connected_at, session LIMIT @limit`

const connectionsByNode = `SELECT node, count(*) AS connections` + thenConnected + `GROUP BY node ORDER BY connections DESC, node`

// What waited when a connection ended by itself is no sign of slowness.
const slowConsumers = `SELECT user, count(DISTINCT session) AS sessions, sum(messages) AS lost,
  sum(CASE WHEN reason = 'slow' THEN messages ELSE 0 END) AS when_disconnected,
  sum(CASE WHEN reason = 'oldest' THEN messages ELSE 0 END) AS oldest,
  sum(CASE WHEN reason = 'conflated' THEN messages ELSE 0 END) AS conflated, max(at) AS latest
FROM audit_drops WHERE reason <> 'closed' AND at >= @since AND at < @until
GROUP BY user ORDER BY lost DESC, user LIMIT @limit`

const message = `SELECT at, what, verdict, node, user, channel, detail, deliveries, drops FROM (
  SELECT 1 AS step, at, CAST(hook AS TEXT) AS what, CAST(verdict AS TEXT) AS verdict, CAST(node AS TEXT) AS node, user, channel,
    CAST(plugin AS TEXT) || ' ' || CAST(plugin_hash AS TEXT) || ': ' || CAST(reason AS TEXT) AS detail, 0 AS deliveries, 0 AS drops
  FROM audit_decisions WHERE message = @about
  UNION ALL
  SELECT 2 AS step, at, 'published' AS what, CAST(verdict AS TEXT) AS verdict, CAST(node AS TEXT) AS node, user, channel,
    CASE WHEN payload_hash <> '' THEN 'sha256:' || payload_hash ELSE payload END AS detail, deliveries, 0 AS drops
  FROM audit_messages WHERE id = @about
  UNION ALL
  SELECT 3 AS step, at, 'delivered' AS what, '' AS verdict, CAST(node AS TEXT) AS node, '' AS user, channel, '' AS detail, deliveries, drops
  FROM audit_deliveries WHERE message = @about
) AS story ORDER BY step, at, node LIMIT @limit`
