package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// ErrAbandoned says that the supervisor of this process has ended and no other has come.
var ErrAbandoned = errors.New("the process that supervises this one has ended, and no other has taken over")

// Inheritance is what this process got from the supervisor that started it.
type Inheritance struct {
	Files []*os.File // As in Options.Files. They must stay open for successors; net.FileListener makes a copy.

	listener *net.UnixListener
	started  time.Time

	mu    sync.Mutex
	conns map[*net.UnixConn]struct{}
	empty chan struct{} // Gets a value when the last connection has ended; has room for one.
}

// Run answers supervisors until ctx ends. It returns ErrAbandoned when there was none for the time of patience; 0 is endless. Call it
// early and let it run to the very end of the process, also while that drains: a successor knows by it that the process lives.
func (i *Inheritance) Run(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	defer all.Wait()
	defer i.hangUp()
	all.Go(func() { cancel(i.accept(&all)) })
	if patience <= 0 {
		<-ctx.Done()
		return ended(ctx)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-i.empty:
			timer.Reset(patience)
		case <-timer.C:
			i.mu.Lock()
			alone := len(i.conns) == 0
			i.mu.Unlock()
			if alone {
				return ErrAbandoned
			}
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

// ended tells an end that was asked for from a failure.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (i *Inheritance) accept(all *sync.WaitGroup) error {
	for {
		conn, err := i.listener.AcceptUnix()
		if err != nil {
			return err
		}
		i.mu.Lock()
		i.conns[conn] = struct{}{}
		i.mu.Unlock()
		all.Go(func() { i.answer(conn) })
	}
}

// hangUp makes all that waits return. Supervisors do not notice: their connections end with the process.
func (i *Inheritance) hangUp() {
	_ = i.listener.Close()
	i.mu.Lock()
	defer i.mu.Unlock()
	for conn := range i.conns {
		_ = conn.Close()
	}
}

// answer answers one supervisor until it ends.
func (i *Inheritance) answer(conn *net.UnixConn) {
	release := keepOpen(conn)
	defer func() {
		_ = conn.Close()
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.conns, conn)
		if len(i.conns) == 0 {
			select {
			case i.empty <- struct{}{}:
			default:
			}
		}
	}()
	question := make([]byte, 1)
	for {
		n, files, err := receiveFiles(conn, question)
		if errors.Is(err, net.ErrClosed) {
			return // By hangUp: what keeps it open stays.
		}
		if err != nil || n == 0 {
			release()
			return
		}
		who := introduction{PID: os.Getpid(), Started: i.started}
		var with []*os.File
		switch question[0] {
		case askWho:
			with = i.Files
		case askOutput:
			if err := writeTo(files); err != nil {
				who.Error = err.Error()
			}
		default:
			who.Error = "this version does not know the question"
		}
		for _, f := range files {
			f.Close()
		}
		text, err := json.Marshal(who)
		if err == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(leaseTimeout)) //nolint:errcheck // Best effort; the write tells.
			err = sendFiles(conn, append(text, '\n'), with)
		}
		if err != nil {
			release()
			return
		}
	}
}
