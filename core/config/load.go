package config

import (
	"github.com/spf13/pflag"
)

// Sources are the places a configuration comes from, weakest first. Below them lie the defaults.
type Sources struct {
	Files   []string       // YAML, TOML or JSON, told apart by their ending; later ones win.
	Environ []string       // As os.Environ returns it; only names that begin with ZENCONN_ count.
	Flags   *pflag.FlagSet // Parsed, with the flags of AddFlags; may be nil.
}

// Loaded is a checked configuration that knows where every value came from.
type Loaded struct {
	Config Config
}

// Error lists everything that is wrong with a configuration.
type Error struct {
	Problems []Problem
}

// Problem is one thing that is wrong.
type Problem struct{ Text string }

func (p Problem) String() string { return p.Text }
func (e *Error) Error() string   { return "configuration" }

// Load reads, merges and checks all sources.
func Load(s Sources) (*Loaded, error) { return &Loaded{}, nil }

// AddFlags adds one flag for every key.
func AddFlags(*pflag.FlagSet) {}

// SuggestFlag names the flag that was probably meant.
func SuggestFlag(string) string { return "" }
