package lua

import (
	"log/slog"

	lua "github.com/yuin/gopher-lua"
)

func (in *instance) logLibrary() *lua.LTable {
	t := in.l.CreateTable(0, 3)
	for name, level := range map[string]slog.Level{"info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		t.RawSetString(name, in.l.NewFunction(func(l *lua.LState) int {
			in.log.Write(level, l.ToStringMeta(l.CheckAny(1)).String())
			return 0
		}))
	}
	return t
}
