package audit_test

import (
	"testing"

	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }
