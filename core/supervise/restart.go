package supervise

import (
	"context"
	"fmt"
	"time"
)

// BeginRestart begins to replace all children, one after the other: a replacement is started beside the old process, and when it is
// ready the old one is drained; its end is waited for before the next one's turn. A replacement that does not get ready is ended, its
// old process stays, and the restart is given up. Run does the work; Progress tells how far it is.
//
// Asked for before Run, it is the first thing Run does. It returns ErrRestarting while another restart is under way, and ErrNotRunning
// when Run is ending or has ended.
func (s *Supervisor) BeginRestart() error {
	_, err := s.begin()
	return err
}

// Restart is BeginRestart, and waits until it is over. When ctx ends before, the restart goes on.
func (s *Supervisor) Restart(ctx context.Context) error {
	over, err := s.begin()
	if err != nil {
		return err
	}
	select {
	case <-over:
		return s.Progress().Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Supervisor) begin() (over <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ending:
		return nil, ErrNotRunning
	case s.restart.Running:
		return nil, ErrRestarting
	}
	s.restart = Progress{Running: true, Begun: time.Now(), Count: len(s.slots)}
	s.over = make(chan struct{})
	s.kick <- struct{}{} // There is room: no other restart is under way.
	return s.over, nil
}

// roll carries out the restarts until ctx ends.
func (s *Supervisor) roll(ctx context.Context) {
	for {
		select {
		case <-s.kick:
			s.finish(s.replaceAll(ctx))
		case <-ctx.Done():
			s.mu.Lock()
			s.ending = true
			waiting := s.restart.Running
			s.mu.Unlock()
			if waiting { // It was asked for in the last moment.
				s.finish(ErrNotRunning)
			}
			return
		}
	}
}

func (s *Supervisor) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restart.Running, s.restart.Over, s.restart.Err = false, time.Now(), err
	close(s.over)
	if err != nil {
		s.o.Log.Error("the restart of the workers was given up", "restarted", s.restart.Done, "of", s.restart.Count, "error", err)
		return
	}
	s.o.Log.Info("all workers were restarted", "count", s.restart.Count, "took", s.restart.Over.Sub(s.restart.Begun).Round(time.Millisecond))
}

func (s *Supervisor) replaceAll(ctx context.Context) error {
	for _, k := range s.slots {
		request := make(replacement, 1)
		select {
		case k.replace <- request:
		case <-ctx.Done():
			return ErrNotRunning
		}
		if err := <-request; err != nil { // It is always answered, also when ctx ends.
			return fmt.Errorf("%s: %w", s.o.Name(k.index), err)
		}
		s.mu.Lock()
		s.restart.Done++
		s.mu.Unlock()
	}
	return nil
}

// replacement asks a child's place for a replacement. It gets exactly one answer, and has room for it.
type replacement chan error
