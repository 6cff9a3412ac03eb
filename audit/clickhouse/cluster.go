package clickhouse

import (
	"regexp"
	"strings"
)

var (
	subject = regexp.MustCompile(`(?m)^(CREATE (?:OR REPLACE )?(?:TABLE|VIEW|MATERIALIZED VIEW)(?: IF NOT EXISTS)?|ALTER TABLE) (\w+)`)
	engine  = regexp.MustCompile(`\bENGINE = (\w*MergeTree)\b`)
)

// clustered makes a statement of the migrations one for a cluster: it is run on all its servers, and the tables are replicated, by the
// paths that the servers have as their default. The window in which batches are recognized is that of all replicas together.
func clustered(statement, cluster string) string {
	if cluster == "" {
		return statement
	}
	statement = subject.ReplaceAllString(statement, "${1} ${2}"+on(cluster))
	statement = engine.ReplaceAllString(statement, "ENGINE = Replicated${1}")
	return strings.ReplaceAll(statement, "non_replicated_deduplication_window", "replicated_deduplication_window")
}

// on names the cluster in a statement. The name is one that the configuration has checked.
func on(cluster string) string {
	if cluster == "" {
		return ""
	}
	return " ON CLUSTER '" + cluster + "'"
}
