package profile

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Function is what a function used of the processors.
type Function struct {
	Name string
	Flat time.Duration // Itself.
	Cum  time.Duration // With what it called.
}

// Top is the functions of profiles of the processors, those that used most themselves first, and what all used together.
type Top struct {
	Functions []Function
	Total     time.Duration
}

// NewTop reads profiles of the processors in the format of pprof, and adds them up.
func NewTop(profiles ...[]byte) (*Top, error) {
	all := make(map[string]*Function)
	var total time.Duration
	for _, text := range profiles {
		p, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("the profile cannot be read: %w", err)
		}
		for _, s := range p.samples {
			total += s.value
			seen := make(map[string]bool)
			for i, name := range p.stack(s) {
				f := all[name]
				if f == nil {
					f = &Function{Name: name}
					all[name] = f
				}
				if i == 0 {
					f.Flat += s.value
				}
				if !seen[name] { // One that calls itself counts once.
					seen[name] = true
					f.Cum += s.value
				}
			}
		}
	}
	top := &Top{Total: total}
	for _, f := range all {
		top.Functions = append(top.Functions, *f)
	}
	slices.SortFunc(top.Functions, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Flat, a.Flat), cmp.Compare(b.Cum, a.Cum), cmp.Compare(a.Name, b.Name))
	})
	return top, nil
}

// parsed is what of a profile matters here: see profile.proto of github.com/google/pprof.
type parsed struct {
	samples   []sample
	lines     map[uint64][]uint64 // The functions of each location, the innermost first.
	functions map[uint64]uint64   // The number of the name of each function.
	strings   []string
}

type sample struct {
	locations []uint64 // The leaf first.
	value     time.Duration
}

// stack returns the names of the functions of a sample, the leaf first.
func (p *parsed) stack(s sample) (names []string) {
	for _, location := range s.locations {
		for _, function := range p.lines[location] {
			name := "?"
			if n := p.functions[function]; n < uint64(len(p.strings)) {
				name = p.strings[n]
			}
			names = append(names, name)
		}
	}
	return names
}

// The numbers of the fields.
const (
	profileSample, profileLocation, profileFunction, profileString = 2, 4, 5, 6

	sampleLocation, sampleValue = 1, 2
	locationID, locationLine    = 1, 4
	lineFunction                = 1
	functionID, functionName    = 1, 2
)

// maxProfile bounds what a profile may be when it is no longer compressed.
const maxProfile = 256 << 20

func parse(text []byte) (*parsed, error) {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if text, err = io.ReadAll(io.LimitReader(r, maxProfile)); err != nil {
		return nil, err
	}
	p := &parsed{lines: make(map[uint64][]uint64), functions: make(map[uint64]uint64)}
	return p, fields(text, func(number protowire.Number, _ uint64, body []byte) error {
		switch number {
		case profileSample:
			var locations, values []uint64
			err := fields(body, func(number protowire.Number, n uint64, body []byte) error {
				switch number {
				case sampleLocation:
					return numbers(&locations, n, body)
				case sampleValue:
					return numbers(&values, n, body)
				}
				return nil
			})
			if err != nil || len(values) == 0 {
				return cmp.Or(err, errFormat)
			}
			value := time.Duration(values[len(values)-1]) //nolint:gosec // Go's profiles have the nanoseconds last.
			p.samples = append(p.samples, sample{locations, value})
			return nil
		case profileLocation:
			return p.location(body)
		case profileFunction:
			ids, err := scalars(body)
			p.functions[ids[functionID]] = ids[functionName]
			return err
		case profileString:
			p.strings = append(p.strings, string(body))
		}
		return nil
	})
}

func (p *parsed) location(body []byte) error {
	var id uint64
	var lines []uint64
	err := fields(body, func(number protowire.Number, n uint64, body []byte) error {
		switch number {
		case locationID:
			id = n
		case locationLine:
			line, err := scalars(body)
			lines = append(lines, line[lineFunction])
			return err
		}
		return nil
	})
	p.lines[id] = lines
	return err
}

var errFormat = errors.New("it is not in the format of pprof")

// fields calls take for each field of a message: with its number when it is a scalar, with its bytes otherwise.
func fields(message []byte, take func(number protowire.Number, scalar uint64, body []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errFormat
		}
		message = message[n:]
		var scalar uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			scalar, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errFormat
		}
		message = message[n:]
		if err := take(number, scalar, body); err != nil {
			return err
		}
	}
	return nil
}

// numbers adds what a repeated field holds, packed or not.
func numbers(to *[]uint64, scalar uint64, packed []byte) error {
	if packed == nil {
		*to = append(*to, scalar)
	}
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return errFormat
		}
		*to, packed = append(*to, v), packed[n:]
	}
	return nil
}

// scalars returns the scalar fields of a message.
func scalars(message []byte) (map[protowire.Number]uint64, error) {
	all := make(map[protowire.Number]uint64)
	err := fields(message, func(number protowire.Number, scalar uint64, _ []byte) error {
		all[number] = scalar
		return nil
	})
	return all, err
}
