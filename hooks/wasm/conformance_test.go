package wasm_test

import (
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm"
)

func TestConformance(t *testing.T) {
	hooktest.Run(t, func(t *testing.T, b hooktest.Behaviour) hooks.Plugin {
		file := "life"
		switch b {
		case hooktest.Verdicts, hooktest.Fields, hooktest.Rewrite, hooktest.Route, hooktest.Spin:
			file = "publish"
		}
		return load(t, guest(t, file), wasm.Options{Config: map[string]any{"behaviour": string(b)}})
	})
}

func TestFunctions(t *testing.T) {
	hooktest.RunFunctions(t, func(t *testing.T, services *host.Services, rights host.Rights) hooks.Plugin {
		return load(t, guest(t, "functions"), wasm.Options{
			Services: services, Rights: rights, Config: map[string]any{"probe": rights.KV},
		})
	})
}
