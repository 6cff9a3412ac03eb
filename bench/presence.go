package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// askPresence asks again and again who is in the channel, one question at a time, and counts the members in every answer.
func (r *run) askPresence(ctx context.Context) error {
	ask, stop, err := r.presenceAsker(ctx)
	if err != nil {
		return err
	}
	defer stop()
	begin := time.Now()
	from, until := begin.Add(r.o.Warmup), begin.Add(r.o.Warmup+r.o.Duration)
	var own time.Duration
	var server usage
	var count uint64
	started, told := false, begin
	for now, n := begin, 0; count == 0 || now.Before(until); now, n = time.Now(), n+1 { // Once at least, however long that takes.
		if r.o.Rate > 0 {
			sleep(time.Until(begin.Add(time.Duration(float64(n) / r.o.Rate * float64(time.Second)))))
		}
		if !started && !now.Before(from) {
			started, from, own = true, now, ownCPU()
			if server, err = r.usage(); err != nil {
				return err
			}
		}
		members, took, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			r.report.Interrupted = true
		case err != nil:
			return err
		case members != r.o.Clients:
			r.report.note(fmt.Errorf("an answer told of %d members instead of %d", members, r.o.Clients))
			r.report.Verification.Damaged++
		}
		if r.report.Interrupted {
			break
		}
		if started {
			count++
			r.report.latency.Record(took)
		}
		if time.Since(told) > tick {
			told = time.Now()
			r.tell(Progress{
				Phase: "asking", Elapsed: told.Sub(begin), Length: r.o.Warmup + r.o.Duration, Unit: r.report.unit(), Measured: true,
				Rate: float64(count) / max(told.Sub(from), time.Second).Seconds(),
			})
		}
	}
	end, err := r.usage()
	if err != nil || !started {
		return err
	}
	r.report.measured(count, time.Since(from), ownCPU()-own, end.cpu-server.cpu)
	return nil
}

// asker asks once and says how many members the answer has, and how long it took until it was there.
type asker func(context.Context) (members int, took time.Duration, err error)

// presenceAsker returns what asks, and what ends it.
func (r *run) presenceAsker(ctx context.Context) (ask asker, stop func(), err error) {
	if r.o.APIURL != "" {
		client := &http.Client{Transport: &http.Transport{}, Timeout: setupTimeout}
		return r.askAPI(client), client.CloseIdleConnections, nil
	}
	channel := r.o.channelName(0)
	c, conn, _, err := r.dialer.dial(ctx, plan{number: r.o.Clients - 1, channel: channel})
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (int, time.Duration, error) {
		start := time.Now()
		if err := conn.SetDeadline(start.Add(setupTimeout)); err != nil {
			return 0, 0, err
		}
		c.send(c.codec.appendPresence(nil, c.id(), channel))
		answer, err := r.dialer.await(ctx, c, conn, []string{"presence"})
		return answer.members, c.heard.Sub(start), err
	}, func() { c.goodbye(); c.close() }, nil
}

// maxAnswer bounds what an answer of the server API may have, in bytes.
const maxAnswer = 256 << 20

// askAPI asks the server API.
func (r *run) askAPI(client *http.Client) asker {
	target := strings.TrimSuffix(r.o.APIURL, "/") + "/api/presence"
	question, err := json.Marshal(map[string]string{"channel": r.o.channelName(0)})
	return func(ctx context.Context) (int, time.Duration, error) {
		request, bad := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(question))
		if err := errors.Join(err, bad); err != nil {
			return 0, 0, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-API-Key", r.o.APIKey)
		start := time.Now()
		answer, err := client.Do(request)
		if err != nil {
			return 0, 0, err
		}
		defer answer.Body.Close() //nolint:errcheck // It has been read.
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		took := time.Since(start)
		if err != nil {
			return 0, 0, err
		}
		members, err := membersIn(answer, body)
		return members, took, err
	}
}

// membersIn counts the members in an answer of the server API.
func membersIn(answer *http.Response, body []byte) (int, error) {
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the server API answered %s: %.200s (see --api-url and --api-key)", answer.Status, body)
	}
	var in struct {
		Error *struct {
			Code    uint32
			Message string
		}
		Result struct{ Presence map[string]json.RawMessage }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return 0, fmt.Errorf("the server API answered something else: %w", err)
	}
	if e := in.Error; e != nil {
		return 0, refusal{"presence", e.Code, e.Message}
	}
	return len(in.Result.Presence), nil
}
