package lua

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks"
)

// verdict reads what a hook returned: true, false [, code] [, reason], nil, or, from on_publish, "drop". Anything else is a
// mistake in the script, and not to be guessed at.
func verdict(first, second, third lua.LValue) (hooks.Answer, error) {
	switch first {
	case lua.LFalse:
		return denial(second, third)
	case lua.LString("drop"):
		return hooks.Answer{Verdict: hooks.Drop}, nothingElse(`"drop"`, second)
	case lua.LTrue:
		return hooks.Answer{Verdict: hooks.Allow}, nothingElse("true", second)
	case lua.LNil:
		return hooks.Answer{Verdict: hooks.Pass}, nothingElse("nil", second)
	}
	return hooks.Answer{}, fmt.Errorf("returned %s; a hook returns true, false, nothing, or in on_publish \"drop\"", describe(first))
}

func denial(second, third lua.LValue) (hooks.Answer, error) {
	a := hooks.Answer{Verdict: hooks.Deny}
	if s, ok := second.(lua.LString); ok {
		a.Reason = strings.ToValidUTF8(string(s), "\ufffd")
		return a, nothingElse("false and a reason", third)
	}
	if n, ok := second.(lua.LNumber); ok && n > 0 && n <= math.MaxUint32 && float64(n) == math.Trunc(float64(n)) {
		a.Code = uint32(n)
	} else if second != lua.LNil {
		return a, fmt.Errorf("returned false and %s; after false come a code, a reason, or both", describe(second))
	}
	switch reason := third.(type) {
	case lua.LString:
		a.Reason = strings.ToValidUTF8(string(reason), "\ufffd")
	case *lua.LNilType:
	default:
		return a, fmt.Errorf("returned %s as the reason; it must be a string", describe(third))
	}
	return a, nil
}

func nothingElse(first string, second lua.LValue) error {
	if second == lua.LNil {
		return nil
	}
	return fmt.Errorf("returned %s and then %s, which means nothing", first, describe(second))
}

func describe(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return fmt.Sprintf("%.60q", string(v))
	case lua.LNumber, lua.LBool, *lua.LNilType:
		return v.String()
	}
	return "a " + v.Type().String()
}
