package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Health is what /readyz says.
type Health struct {
	Status string            // ok, degraded or not ready.
	Checks map[string]string // What is wrong with each part, or ok.
}

// Health asks /readyz.
func (s *Server) Health() (h Health) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.api+"/readyz", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		s.t.Fatalf("/readyz: %s, %v", res.Status, err)
	}
	return h
}

// Audit asks the server's audit by `zenconn audit query` and returns the rows by column.
func (s *Server) Audit(sql string) (rows []map[string]any) {
	s.t.Helper()
	args := []string{"audit", "query", "--json", "--data", "data", sql}
	if s.options.Config != "" {
		args = append(args, "--config", "zenconn.yaml")
	}
	code, stdout, stderr := Execute(s.t, s.options.Dir, args...)
	if code != 0 {
		s.t.Fatalf("the audit does not answer %s: exit code %d\n%s", sql, code, stderr)
	}
	decoder := json.NewDecoder(bytes.NewBufferString(stdout))
	for decoder.More() {
		var row map[string]any
		if err := decoder.Decode(&row); err != nil {
			s.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// executeTimeout ends what hangs. A long audit takes minutes to verify.
const executeTimeout = 10 * time.Minute

// Execute runs the program in a directory to its end.
func Execute(t testing.TB, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return ExecuteProgram(t, Binary(t), dir, nil, args...)
}

// ExecuteProgram is Execute with another build of the program, and more environment variables, KEY=value.
func ExecuteProgram(t testing.TB, program, dir string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), executeTimeout)
	defer cancel()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &out, &complaints
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("zenconn %v does not end:\n%s", args, complaints.String())
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), complaints.String()
}
