package jetstream_test

import (
	"errors"
	"testing"

	"github.com/zenconn/server/core/history/jetstream"
)

// The answer that JetStream writes to almost every message is read without looking at it as JSON, and any other one as before.
func TestStored(t *testing.T) {
	t.Parallel()
	refused := errors.New("any")
	for _, test := range []struct {
		name, answer string
		seq          uint64
		err          error
	}{
		{"plain", `{"stream":"ZC_h_room","seq":1}`, 1, nil},
		{"the last number there is", `{"stream":"ZC_h_room","seq":18446744073709551615}`, 1<<64 - 1, nil},
		{"with a domain", `{"stream":"ZC_h_room","domain":"hub","seq":42}`, 42, nil},
		{"a duplicate", `{"stream":"ZC_h_room","seq":42,"duplicate":true}`, 42, nil},
		{"with blanks", `{"stream":"ZC_h_room", "seq": 42}`, 42, nil},
		{"another order", `{"seq":42,"stream":"ZC_h_room"}`, 42, nil},
		{"a conflict", `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"ZC_h_room","seq":0}`, 0,
			jetstream.ErrConflict},
		{"a conflict, said last", `{"stream":"ZC_h_room","seq":3,"error":{"code":400,"err_code":10071,"description":"no"}}`, 0,
			jetstream.ErrConflict},
		{"refused", `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"ZC_h_room","seq":0}`, 0, refused},
		{"too large a number", `{"stream":"ZC_h_room","seq":18446744073709551616}`, 0, refused},
		{"no number", `{"stream":"ZC_h_room","seq":}`, 0, refused},
		{"cut off", `{"stream":"ZC_h_room","seq":42`, 0, refused},
		{"nothing", ``, 0, refused},
	} {
		seq, err := jetstream.Stored([]byte(test.answer))
		if seq != test.seq || (err == nil) != (test.err == nil) || test.err != nil && !errors.Is(test.err, refused) && !errors.Is(err, test.err) {
			t.Errorf("%s: %d and %v, want %d and %v", test.name, seq, err, test.seq, test.err)
		}
	}
}

// That the servers of a cluster have no leader is over in a moment: whoever has time left asks again.
func TestLeaderless(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{
		`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"},"stream":"ZC_h_room","seq":0}`: true,
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"ZC_h_room","seq":0}`:                   false,
	} {
		if _, err := jetstream.Stored([]byte(answer)); err == nil || jetstream.IsUnavailable(err) != want {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
