package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// leaseTimeout is how long a child may take to answer a question of its supervisor. It is long because machines stand still for seconds, and
// because who gives up on a child that lives has another one started in its place.
const (
	leaseTimeout = 15 * time.Second
	hungUpPause  = 20 * time.Millisecond
)

// What a supervisor asks a child, one byte each. The answers are lines of JSON.
const (
	askWho    = 'w' // Who are you? The answer is an introduction, and with it come the files the child inherited.
	askOutput = 'o' // Write to the two files that come with this.
)

// introduction is what a child says of itself.
type introduction struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Error   string    `json:"error,omitempty"` // Why it cannot do what it was asked.
}

// Survivor is a child that a supervisor which is gone has left running.
type Survivor struct {
	Index   int
	PID     int
	Started time.Time
	Files   []*os.File // What it inherited, in that order. The caller closes them.

	path string
	conn *net.UnixConn
}

// Close ends the interest in the survivor, which goes on as before. Its Files stay open. A Supervisor does it for those it got.
func (s *Survivor) Close() { _ = s.conn.Close() }

// Find looks for survivors by their sockets in Options.Dir, and removes what the dead have left there. The error is about those that
// could not be asked, and the survivors are all others. A directory that is not there holds none.
//
// The caller must be sure that the children's supervisor is gone: two on one directory would both think the children theirs.
func Find(ctx context.Context, dir string) ([]*Survivor, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("directory of the workers: %w", err)
	}
	var found []*Survivor
	var failed []error
	for _, entry := range entries {
		index, ok := indexOf(entry.Name())
		if !ok {
			continue
		}
		s, err := meet(ctx, filepath.Join(dir, entry.Name()), index)
		if err != nil {
			failed = append(failed, fmt.Errorf("worker %d, which was left running, does not answer: %w", index, err))
		} else if s != nil {
			found = append(found, s)
		}
	}
	return found, errors.Join(failed...)
}

// socketName names the socket of a child that is started now.
func socketName(index int) string {
	return fmt.Sprintf("%d-%s.sock", index, strconv.FormatInt(time.Now().UnixNano(), 36))
}

func indexOf(name string) (int, bool) {
	name, isSocket := strings.CutSuffix(name, ".sock")
	first, _, _ := strings.Cut(name, "-")
	index, err := strconv.Atoi(first)
	return index, isSocket && err == nil
}

// meet asks who is behind a socket: nil when nobody is. One that takes the question and hangs up is dying, and asked again until it is dead.
func meet(ctx context.Context, path string, index int) (*Survivor, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	for {
		s, err := greet(ctx, path, index)
		if isGone(err) {
			removeSocket(path)
			return nil, nil
		}
		if err == nil || !hungUp(err) {
			return s, err
		}
		select {
		case <-time.After(hungUpPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func greet(ctx context.Context, path string, index int) (*Survivor, error) {
	deadline, _ := ctx.Deadline()
	conn, err := dial(path, deadline)
	if err != nil {
		return nil, err
	}
	who, files, err := ask(conn, askWho, nil, deadline)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &Survivor{Index: index, PID: who.PID, Started: who.Started, Files: files, path: path, conn: conn}, nil
}

// redirect makes the survivor write here.
func (s *Survivor) redirect(stdout, stderr *os.File) error {
	_, _, err := ask(s.conn, askOutput, []*os.File{stdout, stderr}, time.Now().Add(leaseTimeout))
	return err
}

// wait returns when the survivor has ended.
func (s *Survivor) wait() {
	_ = s.conn.SetDeadline(time.Time{}) //nolint:errcheck // It is open.
	_, _ = io.Copy(io.Discard, s.conn)  //nolint:errcheck // Any end is the end.
}

// ask asks a child and returns its answer and the files that came with it.
func ask(conn *net.UnixConn, what byte, with []*os.File, deadline time.Time) (*introduction, []*os.File, error) {
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, nil, err
	}
	if err := sendFiles(conn, []byte{what}, with); err != nil {
		return nil, nil, err
	}
	buffer := make([]byte, 1024)
	n, files, err := receiveFiles(conn, buffer)
	if err != nil {
		return nil, nil, err
	}
	var who introduction
	err = json.Unmarshal(buffer[:n], &who)
	if err == nil && who.Error != "" {
		err = errors.New(who.Error)
	}
	if err == nil && who.PID <= 1 {
		err = errors.New("it does not say its process ID")
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, nil, err
	}
	return &who, files, nil
}
