package cli_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core/cli"
)

// screen is a pseudo-terminal with a person in front of it.
type screen struct {
	person *os.File // Types and reads.
	tty    *os.File // What programs have.
	shown  output
}

func openScreen(t *testing.T, columns uint16) *screen {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(t, err)
	s := &screen{person: os.NewFile(uintptr(fd), "/dev/ptmx")}
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	s.tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetWinsize(int(s.tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&s.shown, s.person) //nolint:errcheck // It ends with an error when the terminal is closed.
	}()
	t.Cleanup(func() {
		s.tty.Close()
		s.person.Close()
		<-read
	})
	return s
}

// run runs a command on the terminal to its end.
func (s *screen) run(t *testing.T, args ...string) (code int) {
	t.Helper()
	return cli.RunEnviron(t.Context(), args, nil, s.tty, s.tty, s.tty)
}

// says waits until the terminal shows a text.
func (s *screen) says(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(s.shown.String(), text); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the terminal does not show %q:\n%q", text, s.shown.String())
		}
	}
}

// all returns what the terminal shows when all that was written so far is there.
func (s *screen) all(t *testing.T) string {
	t.Helper()
	const end = "[the end]"
	_, err := s.tty.WriteString(end)
	must(t, err)
	s.says(t, end)
	shown, _, _ := strings.Cut(s.shown.String(), end)
	return shown
}

func TestForgetAsksOnATerminal(t *testing.T) {
	inFolder(t)
	vouched(t, said("tea", "alice", `"hello"`, audit.MessageAllow), said("tea", "bob", `"hello"`, audit.MessageAllow))
	const question = "1 row of the audit is about alice. Remove it for good? [y/N] "
	for _, answer := range []struct {
		typed, left string
		code        int
		says        string
	}{
		{"n\n", "2", 1, "nothing was removed"},
		{"\n", "2", 1, "nothing was removed"},
		{"\x04", "2", 1, "nothing was removed"}, // Ctrl-D.
		{"Yes\n", "1", 0, "audit_messages: 1 removed"},
	} {
		s := openScreen(t, 100)
		code := make(chan int)
		go func() { code <- s.run(t, "audit", "forget", "--user", "alice") }()
		s.says(t, question)
		if _, err := s.person.WriteString(answer.typed); err != nil {
			t.Fatal(err)
		}
		if got := <-code; got != answer.code {
			t.Errorf("after %q the exit code is %d, want %d", answer.typed, got, answer.code)
		}
		s.says(t, answer.says)
		if got := cell(t, nil, "SELECT count(*) FROM audit_messages"); got != answer.left {
			t.Errorf("after %q there are %s messages, want %s", answer.typed, got, answer.left)
		}
	}
}

// On a terminal a question is answered with bars and lines that fit; in a pipe by the table alone, in full.
func TestAskOnATerminal(t *testing.T) {
	inFolder(t)
	long := strings.Repeat("a long name ", 10)
	vouched(t, said("tea", "alice", `"1"`, audit.MessageAllow), said("tea", "bob", `"2"`, audit.MessageAllow), said(long, "bob", `"3"`, audit.MessageAllow))
	s := openScreen(t, 80)
	if code := s.run(t, "audit", "ask", "top-channels"); code != 0 {
		t.Fatalf("exit code %d: %s", code, s.shown.String())
	}
	shown := s.all(t)
	if !strings.Contains(shown, "█") {
		t.Errorf("no bars:\n%s", shown)
	}
	for line := range strings.Lines(strings.ReplaceAll(shown, "\r\n", "\n")) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d characters on a terminal of 80: %q", n, line)
		}
	}
	got := typed(t, nil, "audit", "ask", "top-channels")
	if got.code != 0 || strings.Contains(got.stdout, "█") || !strings.Contains(got.stdout, strings.TrimSpace(long)) {
		t.Errorf("in a pipe: %+v", got)
	}
	for _, form := range []string{"--csv", "--json"} {
		s := openScreen(t, 80)
		if code := s.run(t, "audit", "ask", "top-channels", form); code != 0 {
			t.Errorf("%s: exit code %d", form, code)
		}
		if shown := s.all(t); !strings.Contains(shown, strings.TrimSpace(long)) || strings.Contains(shown, "█") {
			t.Errorf("%s is not all, or has bars:\n%s", form, shown)
		}
	}
}

// Who waits at a terminal for a plugin to be compiled sees that; a pipe gets only the result.
func TestCompilingOnATerminal(t *testing.T) {
	inFolder(t, "sound.wasm", sound(3))
	s := openScreen(t, 80)
	if code := s.run(t, "plugin", "check", "sound.wasm"); code != 0 {
		t.Errorf("exit code %d: %s", code, s.shown.String())
	}
	s.says(t, "compiling sound.wasm …")
	s.says(t, "ok")
	if got := typed(t, nil, "plugin", "check", "sound.wasm"); got.code != 0 || got.stderr != "" {
		t.Errorf("in a pipe: %+v", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if code := cli.RunEnviron(ended, []string{"plugin", "check", "sound.wasm"}, nil, s.tty, s.tty, s.tty); code != 1 {
		t.Errorf("after Ctrl-C the exit code is %d", code)
	}
	s.says(t, "zenconn: the check was ended")
}

func TestTailOnATerminal(t *testing.T) {
	inFolder(t)
	hostile := said("tea", "eve", "\"\x1b[2J\x1b]0;title\x07\"", audit.MessageAllow)
	hostile.At = time.Now()
	vouched(t, hostile)
	s := openScreen(t, 80)
	ctx, interrupt := context.WithCancel(t.Context())
	code := make(chan int)
	go func() {
		code <- cli.RunEnviron(ctx, []string{"audit", "tail", "--since", "1h", "--user", "eve"}, nil, s.tty, s.tty, s.tty)
	}()
	s.says(t, `message  eve chat:tea allow "\x1b[2J\x1b]0;title`)
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("after Ctrl-C the exit code is %d", got)
	}
	if shown := s.all(t); strings.Contains(shown, "\x1b") {
		t.Errorf("what a user sent reaches the terminal: %q", shown)
	}
}

// What is no text is not shown on a terminal, even on one that has no size.
func TestParquetIsNotForTerminals(t *testing.T) {
	inFolder(t)
	vouched(t, said("tea", "alice", `"1"`, audit.MessageAllow))
	for _, columns := range []uint16{0, 80} {
		s := openScreen(t, columns)
		if code := s.run(t, "audit", "export", "--format", "parquet"); code != 2 {
			t.Errorf("exit code %d", code)
		}
		shown, want := s.all(t), "--format parquet is not for terminals: give it a file with --out FILE, or redirect the standard output"
		if !strings.Contains(shown, want) || strings.Contains(shown, "PAR1") {
			t.Errorf("it shows %q", shown)
		}
		if code := s.run(t, "audit", "export", "--out", "messages.parquet"); code != 0 {
			t.Errorf("exit code %d: %s", code, s.shown.String())
		}
	}
}
