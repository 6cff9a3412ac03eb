-- Rows of which a person was erased name the erasure: the identifier of its event in audit_actions. All zeros: untouched.

ALTER TABLE audit_messages ADD COLUMN IF NOT EXISTS erasure UUID CODEC(ZSTD(1));
ALTER TABLE audit_sessions ADD COLUMN IF NOT EXISTS erasure UUID CODEC(ZSTD(1));
ALTER TABLE audit_decisions ADD COLUMN IF NOT EXISTS erasure UUID CODEC(ZSTD(1));
ALTER TABLE audit_actions ADD COLUMN IF NOT EXISTS erasure UUID CODEC(ZSTD(1));
ALTER TABLE audit_drops ADD COLUMN IF NOT EXISTS erasure UUID CODEC(ZSTD(1));
