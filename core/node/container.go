package node

import (
	"bufio"
	"bytes"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// container is the control group (cgroups(7)) that bounds what the process may use, on Linux: a container, or a service of systemd with
// MemoryMax. Elsewhere its files are missing, and there is none.
type container struct{ files fs.FS } // The root of the file system.

// Versions of control groups, by where they lie and what their files are called.
var hierarchies = [...]struct {
	roots       []string
	controller  string // In /proc/self/cgroup.
	limit, stat string
	used        []string // What cannot be had back by dropping caches.
}{
	{
		roots: []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, controller: "", limit: "memory.max",
		used: []string{"anon", "shmem", "kernel_stack", "pagetables", "sock", "slab_unreclaimable"},
	},
	{
		roots: []string{"sys/fs/cgroup/memory"}, controller: "memory", limit: "memory.limit_in_bytes",
		used: []string{"total_rss", "total_shmem"},
	},
}

// unlimited is what version 1 says where there is no limit, and a bit less.
const unlimited = 1 << 62

// memory returns the limit that binds first, and what those that it binds use of it, in bytes. It reports false when there is none.
func (c container) memory() (most, used uint64, ok bool) {
	most = unlimited
	groups, err := fs.ReadFile(c.files, "proc/self/cgroup")
	if err != nil {
		return 0, 0, false
	}
	for _, h := range hierarchies {
		own := groupOf(groups, h.controller)
		for _, root := range h.roots {
			// Inside of a container the group's path may be the one outside; then its own is the root.
			for dir := path.Join(root, own); ; dir = path.Dir(dir) {
				if limit, found := c.limit(path.Join(dir, h.limit)); found && limit < most {
					if sum, found := c.sum(path.Join(dir, "memory.stat"), h.used); found {
						most, used, ok = limit, sum, true
					}
				}
				if len(dir) <= len(root) {
					break
				}
			}
		}
	}
	return most, used, ok
}

// groupOf returns the path of the process's group in a hierarchy; "/" when it has none there.
func groupOf(groups []byte, controller string) string {
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		for name := range strings.SplitSeq(controllers, ",") {
			if name == controller {
				return path.Join("/", group)
			}
		}
	}
	return "/"
}

func (c container) limit(file string) (uint64, bool) {
	text, err := fs.ReadFile(c.files, file)
	if err != nil {
		return 0, false
	}
	limit, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	return limit, err == nil && limit > 0 // Version 2 says "max" where there is none.
}

// sum adds up some lines of a memory.stat.
func (c container) sum(file string, names []string) (sum uint64, ok bool) {
	text, err := fs.ReadFile(c.files, file)
	if err != nil {
		return 0, false
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		for _, wanted := range names {
			if n, err := strconv.ParseUint(value, 10, 64); name == wanted && err == nil {
				sum += n
			}
		}
	}
	return sum, true
}
