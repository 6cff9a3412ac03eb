package registry

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// process is a process with sessions, as simple as can be: the truth.
type process struct {
	open     map[core.ID]session.Opening
	numbered map[core.ID]bool // Announced as opened.
	next     uint64
	pending  []change
}

func (p *process) change(c change) {
	p.numbered[c.ID] = true
	p.next++
	p.pending = append(p.pending, c)
}

// page reads like Sender.page does.
func (p *process) page(after core.ID, size int) *message {
	m := &message{first: p.next}
	for _, id := range keys(p.open) {
		if id.Compare(after) <= 0 {
			continue
		}
		if m.more = len(m.changes) == size; m.more {
			break
		}
		m.changes = append(m.changes, change{Opening: p.open[id]})
	}
	return m
}

// line is what lies between a process and a registry. Batches stay in order and may be lost, answers too; neither waits for the other.
type line struct {
	random  *rand.Rand
	process process
	batches []*message
	answers []*message
	member  *member
	users   users
	asked   uint32 // The round of the question under way; 0: none.
	lossy   bool
	delay   int // The larger, the longer batches are under way.
}

// id returns a random ID, the same one in every run of the test.
func (l *line) id() (id core.ID) {
	binary.BigEndian.PutUint64(id[:], l.random.Uint64())
	return id
}

func (l *line) flush() {
	p := &l.process
	b := &message{first: p.next - uint64(len(p.pending)), changes: p.pending}
	p.pending = nil
	l.batches = append(l.batches, b)
}

func (l *line) ask(after core.ID) {
	l.answers = []*message{l.process.page(after, 1+l.random.IntN(4))}
}

// step does one of the things that happen, at random.
func (l *line) step() {
	p, m := &l.process, l.member
	switch l.random.IntN(8) {
	case 0, 1:
		o := session.Opening{ID: l.id(), User: fmt.Sprint("user", l.random.IntN(3)), ConnectedAt: time.UnixMilli(1)}
		p.open[o.ID] = o
		if l.random.IntN(4) == 0 {
			l.step() // Between its place in the list and its announcement, other things happen.
		}
		p.change(change{Opening: o})
	case 2:
		ids := keys(p.open)
		l.random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		for _, id := range ids {
			o := p.open[id]
			if !p.numbered[id] { // It is in the list, and its opening not announced yet.
				continue
			}
			delete(p.open, id)
			p.change(change{Opening: o, closed: true})
			break
		}
	case 3:
		l.flush()
	case 4, 5:
		if l.random.IntN(l.delay) == 0 {
			l.hear()
		}
	case 6:
		if m.list.reading && l.asked != m.list.round {
			m.list.begin()
			l.asked = m.list.round
			l.ask(core.ID{})
		} else if !l.lossy && !m.list.reading && l.random.IntN(10) == 0 {
			m.list.begin()
		}
	case 7:
		l.answer()
	}
}

func (l *line) hear() {
	if len(l.batches) == 0 {
		return
	}
	b := l.batches[0]
	l.batches = l.batches[1:]
	if l.lossy && l.random.IntN(5) == 0 {
		return
	}
	if !l.member.apply(b, l.users) {
		l.member.list.begin()
	}
}

func (l *line) answer() {
	if len(l.answers) == 0 {
		return
	}
	page := l.answers[0]
	l.answers = nil
	if l.lossy && l.random.IntN(5) == 0 || l.asked != l.member.list.round {
		l.asked = 0 // Lost, or overtaken: it is asked again from the beginning.
		return
	}
	if !l.member.turn(page, l.users) {
		l.asked = 0
		l.member.list.begin()
		return
	}
	if page.more {
		l.ask(page.changes[len(page.changes)-1].ID)
	}
}

// settle lets everything arrive, as a heartbeat does that is not lost.
func (l *line) settle() {
	l.lossy = false
	for range 100 {
		l.flush()
		for len(l.batches) > 0 {
			l.hear()
		}
		if !l.member.list.reading {
			return
		}
		l.member.list.begin()
		l.asked = l.member.list.round
		l.ask(core.ID{})
		for len(l.answers) > 0 {
			l.answer()
		}
	}
}

// After any order of batches, pages and losses the list is the truth.
func TestListBecomesTheTruth(t *testing.T) {
	for seed := range uint64(3000) {
		l := &line{random: rand.New(rand.NewPCG(seed, 1)), lossy: true, users: users{}, delay: 1 << (seed % 5)} //nolint:gosec // Repeatable.
		l.process = process{open: map[core.ID]session.Opening{}, numbered: map[core.ID]bool{}, next: 1}
		l.member = &member{list: list{sessions: map[core.ID]*entry{}}}
		for range l.random.IntN(12) { // Sessions from before anybody listened.
			o := session.Opening{ID: l.id(), User: "early"}
			l.process.open[o.ID], l.process.numbered[o.ID] = o, true
			l.process.next++
		}
		l.member.list.begin()
		for range 300 {
			l.step()
		}
		l.settle()
		if got, want := keys(l.member.list.sessions), keys(l.process.open); !slices.Equal(got, want) {
			t.Fatalf("seed %d: the list has %d sessions, the process %d", seed, len(got), len(want))
		}
		chained := 0
		for user, e := range l.users {
			for ; e != nil; e = e.after {
				if chained++; e.user != user || l.member.list.sessions[e.id] != e {
					t.Fatalf("seed %d: %v is in the chain of %q", seed, e, user.Value())
				}
			}
		}
		if chained != len(l.member.list.sessions) {
			t.Fatalf("seed %d: %d sessions are in chains, %d in the list", seed, chained, len(l.member.list.sessions))
		}
	}
}

func keys[V any](m map[core.ID]V) []core.ID { return slices.SortedFunc(maps.Keys(m), core.ID.Compare) }

func TestMessage(t *testing.T) {
	id := core.NewID()
	sent := &message{
		origin: origin{uid: "u", name: "host-1", epoch: 1 << 40, worker: 65535, incarnation: 84}, first: 1 << 50,
		changes: []change{
			{Opening: session.Opening{ID: id, User: "grüße", Transport: "websocket", Protocol: "json", UserAgent: "x", ConnectedAt: time.UnixMilli(-5)}},
			{Opening: session.Opening{ID: id}, closed: true, at: time.UnixMilli(7), reason: core.Disconnect{Code: 3001, Reason: "shutdown"}},
		},
	}
	encoded, n := appendMessage(nil, sent)
	got, err := parseMessage(encoded)
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", sent) {
		t.Errorf("sent %+v\n got %+v", sent, got)
	}
	setMore(encoded)
	if got, err := parseMessage(encoded); err != nil || !got.more {
		t.Errorf("there should be more: %+v, %v", got, err)
	}
	for cut := range len(encoded) {
		if cut != len(encoded) && cut > 3 {
			parseMessage(encoded[:cut]) //nolint:errcheck // It may be shorter and good; it must not panic.
		}
	}
	encoded[0]++
	if _, err := parseMessage(encoded); err == nil {
		t.Error("another format was taken")
	}
}

// A change that a newer program has added something to, and one of a kind it has added, are read by this one.
func TestMessageOfANewerProgram(t *testing.T) {
	id := core.NewID()
	b, _ := appendMessage(nil, &message{origin: origin{uid: "u"}, first: 1})
	body := append(appendChange(nil, &change{Opening: session.Opening{ID: id, User: "alice"}}), "more"...)
	b = append(b, kindOpened, byte(len(body)))
	b = append(b, body...)
	b = append(b, 77, 3, 1, 2, 3)
	got, err := parseMessage(b)
	if err != nil || len(got.changes) != 2 || got.changes[0].User != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzMessage(f *testing.F) {
	b, _ := appendMessage(nil, &message{origin: origin{uid: "u"}, first: 1, changes: []change{{Opening: session.Opening{ID: core.NewID(), User: "a"}}}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		again, n := appendMessage(nil, m)
		if n != len(m.changes) && len(again) < messageBytes {
			t.Fatalf("%d of %d changes were encoded", n, len(m.changes))
		}
		if _, err := parseMessage(again); err != nil {
			t.Fatal(err)
		}
	})
}
