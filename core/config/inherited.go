package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// busVariable is the environment variable that tells a child process of an agent how to reach the bus. There is a credential in it, which
// must not be seen in the list of processes, as arguments are.
const busVariable = environmentPrefix + "WORKER_BUS"

// Environ returns the variable that tells a child process to use this bus, as NAME=value.
func (b *Bus) Environ() (string, error) {
	value, err := json.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	return busVariable + "=" + string(value), nil
}

// InheritedBus finds out which bus a child process shall use. ok is false when no agent has told.
func InheritedBus(environ []string) (b Bus, ok bool, err error) {
	for _, variable := range environ {
		value, found := strings.CutPrefix(variable, busVariable+"=")
		if !found {
			continue
		}
		if err := json.Unmarshal([]byte(value), &b); err != nil { // The error could show parts of the value.
			return Bus{}, false, fmt.Errorf("%s is not what an agent tells its workers; unset it", busVariable)
		}
		return b, true, nil
	}
	return Bus{}, false, nil
}
