package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Inherited is what an agent's child process is told before it can ask for more.
type Inherited struct {
	Agent string `json:"agent"` // UID of the agent that started it.
	Index int    `json:"index"` // Which of the agent's workers it is, from 1.
	Bus   Bus    `json:"bus"`
	Log   Log    `json:"log"`
}

// InheritedVariable is the environment variable with what a child process is told. It holds the credential of the bus, which must
// not be seen in the list of processes.
const InheritedVariable = environmentPrefix + "WORKER"

// Environ returns the variable for the environment of a child process, as NAME=value.
func (i *Inherited) Environ() (string, error) {
	b, err := json.Marshal(i)
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	return InheritedVariable + "=" + string(b), nil
}

// ReadInherited finds what an agent has told its child. ok is false when no agent started this process.
func ReadInherited(environ []string) (i Inherited, ok bool, err error) {
	for _, variable := range environ {
		text, found := strings.CutPrefix(variable, InheritedVariable+"=")
		if !found {
			continue
		}
		if err := json.Unmarshal([]byte(text), &i); err != nil {
			return Inherited{}, false, fmt.Errorf("%s is not what an agent tells its workers; unset it", InheritedVariable) // The error would show parts of it.
		}
		return i, true, nil
	}
	return Inherited{}, false, nil
}
