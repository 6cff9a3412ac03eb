-- The sessions that are open, few among all that ever were: who is connected, and what a process that died has left open.

CREATE INDEX audit_sessions_open ON audit_sessions (node, connected_at, session) WHERE version % 3 = 1;
