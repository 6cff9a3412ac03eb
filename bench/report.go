package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// Report is what a run found out. Its JSON form is one line of `zenconn bench --json`; names carry their units.
type Report struct {
	Started      time.Time `json:"started"`
	Options      Options   `json:"options"`
	Machine      Machine   `json:"machine"`
	Connections  int       `json:"connections"`
	ConnectTime  float64   `json:"connect_seconds"`
	ConnectRate  float64   `json:"connects_per_second"`
	Seconds      float64   `json:"measured_seconds"`
	Counted      string    `json:"counted"` // What Count counts.
	Count        uint64    `json:"count"`
	PerSecond    float64   `json:"per_second"`
	Latency      *Latency  `json:"latency_ms,omitempty"`
	Server       *Server   `json:"server,omitempty"`
	Storm        *Storm    `json:"storm,omitempty"`
	GeneratorCPU float64   `json:"generator_cpu_us_per_count"`
	// BytesPerCount is all that was read, with WebSocket's headers and answers, and without those of TCP.
	BytesPerCount float64      `json:"received_bytes_per_count,omitempty"`
	Verification  Verification `json:"verification"`
	Errors        []string     `json:"errors,omitempty"`
	Interrupted   bool         `json:"interrupted,omitempty"`

	latency Histogram
}

// Machine is where the generator ran.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// Latency is the distribution of a duration, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Server is what the server's processes used. Memory is resident memory in bytes; the kernel's buffers are not in it.
type Server struct {
	CPUSeconds    float64 `json:"cpu_seconds"` // User and system time in the measured time.
	CPUPerCount   float64 `json:"cpu_us_per_count"`
	RSSBefore     int64   `json:"rss_before_bytes"`
	RSSConnected  int64   `json:"rss_connected_bytes"` // With all connections open; scenario idle: after they were held.
	PerConnection float64 `json:"rss_bytes_per_connection"`
	// PerSubscription is what the memory grew by, after all were connected, for each subscription; scenario subscriptions.
	PerSubscription float64 `json:"rss_bytes_per_subscription,omitempty"`
}

// Verification is what became of all publications of the run, not only of the measured ones.
type Verification struct {
	Published      uint64 `json:"published"`
	Expected       uint64 `json:"expected"`
	Received       uint64 `json:"received"`
	Lost           uint64 `json:"lost"`
	Duplicated     uint64 `json:"duplicated"`
	Reordered      uint64 `json:"reordered"`
	Stray          uint64 `json:"stray"`   // Delivered or answered to somebody they were not for.
	Damaged        uint64 `json:"damaged"` // Not as they were published.
	Refused        uint64 `json:"refused"`
	Unacknowledged uint64 `json:"unacknowledged"`
	Disconnected   uint64 `json:"disconnected"` // Connections that ended before the run did.
}

// faults lists what is not as it should be.
func (v Verification) faults() (list []string) {
	for _, f := range []struct {
		count uint64
		what  string
	}{
		{v.Lost, "lost"}, {v.Duplicated, "duplicated"}, {v.Reordered, "out of order"}, {v.Stray, "astray"}, {v.Damaged, "damaged"},
		{v.Refused, "refused"}, {v.Unacknowledged, "unacknowledged"}, {v.Disconnected, "connections ended"},
	} {
		if f.count > 0 {
			list = append(list, grouped(float64(f.count))+" "+f.what)
		}
	}
	return list
}

func newReport(o *Options) *Report {
	r := &Report{Started: time.Now(), Machine: Machine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()}}
	r.Options = *o
	switch o.Scenario {
	case Connect, Idle:
		r.Counted = "connections"
	case History:
		r.Counted = "publications"
	case Recovery:
		r.Counted = "recovered publications"
	case Presence:
		r.Counted = "answers"
	case Subscriptions:
		r.Counted = "subscriptions"
	case Echo:
		r.Counted = "round trips"
	default:
		r.Counted = "deliveries"
	}
	if len(o.PIDs) > 0 {
		r.Server = new(Server)
	}
	return r
}

// unit is what progress is counted in.
func (r *Report) unit() string { return r.Counted + "/s" }

// maxErrors bounds the list of errors.
const maxErrors = 32

func (r *Report) note(err error) {
	if len(r.Errors) < maxErrors {
		r.Errors = append(r.Errors, err.Error())
	}
}

func (r *Report) connected(made int, elapsed time.Duration) {
	r.Connections, r.ConnectTime = made, elapsed.Seconds()
	r.ConnectRate = float64(made) / elapsed.Seconds()
}

func (r *Report) memory(before, after usage, connections int) {
	if r.Server == nil {
		return
	}
	r.Server.RSSBefore = before.rss
	r.settled(after, connections)
}

// settled takes the memory that connections need.
func (r *Report) settled(after usage, connections int) {
	if r.Server == nil {
		return
	}
	r.Server.RSSConnected = after.rss
	r.Server.PerConnection = float64(after.rss-r.Server.RSSBefore) / float64(max(connections, 1))
}

// filled takes the memory that subscriptions need.
func (r *Report) filled(before, after usage, subscriptions int) {
	if r.Server == nil {
		return
	}
	r.Server.RSSBefore, r.Server.RSSConnected = before.rss, after.rss
	r.Server.PerSubscription = float64(after.rss-before.rss) / float64(max(subscriptions, 1))
}

// measured takes what happened in the measured time, when the latencies are complete.
func (r *Report) measured(count uint64, span, own, server time.Duration) {
	r.Seconds, r.Count = span.Seconds(), count
	if span > 0 {
		r.PerSecond = float64(count) / span.Seconds()
	}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(max(count, 1)) }
	r.GeneratorCPU = per(own)
	if r.Server != nil {
		r.Server.CPUSeconds, r.Server.CPUPerCount = server.Seconds(), per(server)
	}
	if h := &r.latency; h.Count() > 0 {
		ms := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
		r.Latency = &Latency{ms(h.Quantile(0.5)), ms(h.Quantile(0.9)), ms(h.Quantile(0.99)), ms(h.Quantile(0.999)), ms(h.Max())}
	}
}

// Err returns nil when everything arrived as it should, and otherwise a sentence about what did not.
func (r *Report) Err() error {
	faults := r.Verification.faults()
	if len(r.Errors) > 0 && len(faults) == 0 {
		faults = r.Errors[:1]
	}
	if r.Interrupted {
		faults = append(faults, "interrupted")
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New("the run failed: " + strings.Join(faults, ", "))
}

// WriteJSON writes the report as one line.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteTable writes the report for people, with a picture of the latencies if wanted.
func (r *Report) WriteTable(w io.Writer, picture bool) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	o, v := &r.Options, &r.Verification
	fmt.Fprintf(&b, "%s, %s, %s\n", o.Scenario, o.Protocol, r.describe())
	row("connections", "%s in %.2f s (%s/s, %d at a time)", grouped(float64(r.Connections)), r.ConnectTime, grouped(r.ConnectRate), o.Concurrency)
	if o.publishes() || o.Scenario == Presence {
		row(r.Counted, "%s in %.2f s = %s/s", grouped(float64(r.Count)), r.Seconds, grouped(r.PerSecond))
	}
	if l := r.Latency; l != nil {
		row("latency ms", "p50 %s   p90 %s   p99 %s   p99.9 %s   max %s", ms(l.P50), ms(l.P90), ms(l.P99), ms(l.P999), ms(l.Max))
	}
	if s := r.Storm; s != nil {
		row("storm", "%d at a time: %s connected (%s/s), %s refused (503), %s failed", s.AtATime, grouped(float64(s.Connected)),
			grouped(float64(s.Connected)/s.Seconds), grouped(float64(s.Refused)), grouped(float64(s.Failed)))
		if s.Problem != "" {
			row("", "%s", s.Problem)
		}
	}
	if s := r.Server; s != nil {
		if o.Scenario == Idle {
			row("server CPU", "%.1f %% of one processor while idle", 100*s.CPUSeconds/max(r.Seconds, 1e-9))
		} else {
			row("server CPU", "%.2f s = %.2f µs for each of the %s", s.CPUSeconds, s.CPUPerCount, r.Counted)
		}
		row("server memory", "%s", r.memoryText())
	}
	if r.BytesPerCount > 0 {
		row("received", "%.1f bytes for each of the %s", r.BytesPerCount, r.Counted)
	}
	if o.Scenario != Idle {
		row("generator CPU", "%.2f µs for each of the %s", r.GeneratorCPU, r.Counted)
	}
	if o.publishes() {
		answers := fmt.Sprintf("%s of %s expected deliveries", grouped(float64(v.Received)), grouped(float64(v.Expected)))
		if o.Scenario == History {
			answers = grouped(float64(v.Published-v.Unacknowledged-v.Refused)) + " acknowledged"
		}
		row("published", "%s, warm-up included; %s", grouped(float64(v.Published)), answers)
	}
	row("verified", "%s", r.verdict())
	for _, e := range r.Errors {
		row("error", "%s", e)
	}
	if picture && r.latency.Count() > 0 {
		drawBars(&b, r.latency.Bars())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) verdict() string {
	switch faults := r.Verification.faults(); {
	case len(faults) > 0:
		return strings.Join(faults, ", ")
	case r.Interrupted:
		return "interrupted; nothing wrong until then"
	case len(r.Errors) > 0:
		return "failed"
	case r.Options.Scenario == Presence:
		return "every member in every answer; no disconnects"
	case r.Options.publishes():
		return "nothing lost, duplicated or out of order; no disconnects"
	default:
		return "all connected; no disconnects"
	}
}

// describe says what the run was, in a few words.
func (r *Report) describe() string {
	o := &r.Options
	pace := fmt.Sprintf("%d in flight", o.InFlight)
	if o.Rate > 0 {
		pace = fmt.Sprintf("%s publications/s", grouped(o.Rate))
	}
	switch o.Scenario {
	case Fanout:
		return fmt.Sprintf("%s, %s, %d bytes, %s", plural(o.Clients, "subscriber"), plural(o.Publishers, "publisher"), o.Size, pace)
	case Channels:
		return fmt.Sprintf("%s with %s each, %s, %d bytes, %s", plural(o.Channels, "channel"), plural(o.Clients, "subscriber"),
			plural(o.Publishers, "publisher"), o.Size, pace)
	case Echo:
		return fmt.Sprintf("%s, %d bytes, %s", plural(o.Clients, "client"), o.Size, pace)
	case History:
		return fmt.Sprintf("%s, %s, %d bytes, %s", plural(o.Publishers, "publisher"), plural(o.Channels, "channel"), o.Size, pace)
	case Idle:
		return fmt.Sprintf("%s with one subscription each, held for %s", plural(o.Clients, "connection"), o.Duration)
	case Recovery:
		return fmt.Sprintf("%s of %s recover %d publications of %d bytes each, all at once", plural(o.Clients, "subscriber"),
			plural(o.Channels, "channel"), o.Missed, o.Size)
	case Presence:
		by := "asked by a client"
		if o.APIURL != "" {
			by = "asked through the server API"
		}
		return fmt.Sprintf("%s, %s", plural(o.Clients, "member"), by)
	case Subscriptions:
		return fmt.Sprintf("%s with %s each, held for %s", plural(o.Clients, "client"), plural(o.Channels, "channel"), o.Duration)
	default:
		return plural(o.Clients, "client")
	}
}

// memoryText says what the server's memory was.
func (r *Report) memoryText() string {
	s, o := r.Server, &r.Options
	mib := func(bytes int64) float64 { return float64(bytes) / (1 << 20) }
	if o.Scenario == Subscriptions {
		return fmt.Sprintf("%.1f MiB connected, %.1f MiB subscribed = %.1f MB for 100,000 subscriptions (start the server anew for a true figure)",
			mib(s.RSSBefore), mib(s.RSSConnected), s.PerSubscription*100_000/1e6)
	}
	text := fmt.Sprintf("%.1f MiB before, %.1f MiB connected", mib(s.RSSBefore), mib(s.RSSConnected))
	if !o.publishes() {
		text += fmt.Sprintf(" = %.1f KiB per connection (start the server anew for a true figure)", s.PerConnection/(1<<10))
	}
	return text
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return grouped(float64(n)) + " " + thing
}

// ms writes milliseconds with three significant digits.
func ms(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func drawBars(b *strings.Builder, bars []Bar) {
	const cells = 50
	var most, all uint64
	for _, bar := range bars {
		most, all = max(most, bar.Count), all+bar.Count
	}
	b.WriteByte('\n')
	for _, bar := range bars {
		fmt.Fprintf(b, "  ≤ %8s ms %5.1f %% %s\n", ms(float64(bar.To)/1e6), 100*float64(bar.Count)/float64(all),
			strings.Repeat("█", int((bar.Count*cells+most-1)/most)))
	}
}
