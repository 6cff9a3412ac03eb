package cli

import "errors"

// replaceFlag tells the next agent to replace the workers it finds.
const replaceFlag = "replace-workers"

// becomeNext fails: there are no workers on Windows.
func (*environment) becomeNext(string) error { return errors.ErrUnsupported }
