//go:build unix

package cli

import (
	"fmt"
	"slices"
	"syscall"
)

// replaceFlag tells the next agent to replace the workers it finds.
const replaceFlag = "replace-workers"

// becomeNext makes this process run its program, which may be a newer one, from the beginning. It returns only when that fails.
func (env *environment) becomeNext(program string) error {
	args := append([]string{program}, slices.DeleteFunc(slices.Clone(env.args), func(a string) bool { return a == "--"+replaceFlag })...)
	if err := syscall.Exec(program, append(args, "--"+replaceFlag), env.environ); err != nil { //nolint:gosec // It is this program.
		return fmt.Errorf("the server could not begin anew: %w", err)
	}
	return nil
}
