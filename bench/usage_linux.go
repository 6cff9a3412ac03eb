package bench

import (
	"fmt"
	"os"
)

// usageOf returns what processes of this machine have used so far.
func usageOf(pids []int) (total usage, err error) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return usage{}, fmt.Errorf("process %d of the server: %w", pid, err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return usage{}, fmt.Errorf("process %d of the server: %w", pid, err)
		}
		cpu, err := parseStatCPU(stat)
		if err != nil {
			return usage{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		rss, err := parseStatusRSS(status)
		if err != nil {
			return usage{}, fmt.Errorf("/proc/%d/status: %w", pid, err)
		}
		total.cpu += cpu
		total.rss += rss
	}
	return total, nil
}
