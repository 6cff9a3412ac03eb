package settle

// Clauses is the question for the first page.
func (s Scope) Clauses() string { return s.clauses(nil) }
