package lua_test

import (
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/lua"
)

func TestConformance(t *testing.T) {
	hooktest.Run(t, func(t *testing.T, b hooktest.Behaviour) hooks.Plugin {
		p, err := lua.Load("testdata/conformance/"+string(b)+".lua", lua.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}

func TestFunctions(t *testing.T) {
	hooktest.RunFunctions(t, func(t *testing.T, services *host.Services, rights host.Rights) hooks.Plugin {
		p, err := lua.Load("testdata/conformance/functions.lua", lua.Options{
			Services: services, Rights: rights, Config: map[string]any{"probe": rights.KV},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}
