package supervise

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

const (
	longestLine = 64 << 10 // Bytes; what is longer is passed on in pieces.
	keptLines   = 20       // For the report of a crash.
	keptLine    = 1024     // Bytes of each.
)

// lines writes whole lines of several children.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) write(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.to.Write(line) //nolint:errcheck // There is nowhere to tell that our own log is gone.
}

// forward passes lines on until the source ends, keeping the last of them. Text without a newline at its end gets one.
func (l *lines) forward(from io.Reader, keep *tail) {
	reader := bufio.NewReaderSize(from, longestLine)
	for {
		line, err := reader.ReadSlice('\n')
		if len(line) > 0 {
			if line[len(line)-1] != '\n' {
				line = append(slices.Clone(line), '\n')
			}
			keep.add(line)
			l.write(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// tail keeps the last lines. A nil one keeps none.
type tail struct {
	mu   sync.Mutex
	last []string
}

func (t *tail) add(line []byte) {
	if t == nil {
		return
	}
	text := strings.ToValidUTF8(strings.TrimRight(string(line[:min(len(line), keptLine)]), "\r\n"), "�")
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == keptLines {
		t.last = slices.Delete(t.last, 0, 1)
	}
	t.last = append(t.last, text)
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.last)
}
