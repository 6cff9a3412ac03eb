package cli

import (
	"slices"
	"strings"
)

// auditTable is a table of the audit, with the column of its time.
type auditTable struct{ name, time string }

var auditTables = [...]auditTable{
	{"audit_messages", "at"},
	{"audit_sessions", "connected_at"},
	{"audit_decisions", "at"},
	{"audit_actions", "at"},
	{"audit_deliveries", "at"},
	{"audit_drops", "at"},
}

func tableNames() (names []string) {
	for _, t := range auditTables {
		names = append(names, t.name)
	}
	return names
}

func tablesList() string {
	names := tableNames()
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// findTable finds a table by its name, with or without what all names begin with.
func findTable(name string) (auditTable, bool) {
	i := slices.IndexFunc(auditTables[:], func(t auditTable) bool { return t.name == name || t.name == "audit_"+name })
	if i < 0 {
		return auditTable{}, false
	}
	return auditTables[i], true
}
