package clickhouse

import (
	"strings"
	"testing"
)

// Every statement of the migrations must become one for the whole cluster.
func TestClustered(t *testing.T) {
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		text, err := migrations.ReadFile("migrations/" + step.Name())
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(string(text)+migrationsTable, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			got := clustered(statement, "main")
			if strings.Count(got, " ON CLUSTER 'main'") != 1 || strings.Contains(got, "non_replicated") ||
				strings.Count(got, "MergeTree") != strings.Count(got, "= Replicated") {
				t.Errorf("%s:\n%s", step.Name(), got)
			}
			if clustered(statement, "") != statement {
				t.Error("without a cluster a statement is changed")
			}
		}
	}
}
