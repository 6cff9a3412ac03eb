package plugins_test

import (
	"os"
	"testing"
)

// compiled keeps the machine code of modules, which takes seconds to make and minutes with the race detector, while the tests run.
var compiled string

func TestMain(m *testing.M) {
	var err error
	if compiled, err = os.MkdirTemp("", "zenconn-compiled"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(compiled) //nolint:errcheck // A left-over in the temporary directory.
	m.Run()
}
