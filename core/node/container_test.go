package node

import (
	"testing"
	"testing/fstest"
)

func TestContainerMemory(t *testing.T) {
	const statV2 = "anon 1000\nfile 50000\nkernel_stack 10\npagetables 20\nsock 30\nshmem 40\nfile_mapped 7\nslab_reclaimable 5\nslab_unreclaimable 100\nslab 105\n"
	const statV1 = "cache 9\nrss 1\nshmem 2\ntotal_cache 900\ntotal_rss 500\ntotal_shmem 60\n"
	for _, test := range []struct {
		name       string
		files      map[string]string
		most, used uint64
	}{
		{"no control groups", nil, 0, 0},
		{"no limit", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.stat": statV2,
		}, 0, 0},
		{"version 2 with a namespace of its own", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4096\n", "sys/fs/cgroup/memory.stat": statV2,
		}, 4096, 1200},
		{"a service, and its slice has less", map[string]string{
			"proc/self/cgroup": "0::/system.slice/zenconn.service\n",
			"sys/fs/cgroup/system.slice/zenconn.service/memory.max":     "8192\n",
			"sys/fs/cgroup/system.slice/zenconn.service/memory.stat":    statV2,
			"sys/fs/cgroup/system.slice/memory.max":                     "4000\n",
			"sys/fs/cgroup/system.slice/memory.stat":                    "anon 2000\n",
			"sys/fs/cgroup/other.slice/memory.max":                      "1\n",
			"sys/fs/cgroup/system.slice/zenconn.service/sub/memory.max": "1\n",
		}, 4000, 2000},
		{"version 1 without a namespace", map[string]string{
			"proc/self/cgroup":                           "12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n", "sys/fs/cgroup/memory/memory.stat": statV1,
		}, 5000, 560},
		{"version 1 without a limit", map[string]string{
			"proc/self/cgroup":                           "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.stat": statV1,
		}, 0, 0},
		{"both", map[string]string{
			"proc/self/cgroup": "4:memory:/a\n0::/b\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "7000\n", "sys/fs/cgroup/memory/a/memory.stat": statV1,
			"sys/fs/cgroup/unified/b/memory.max": "max\n",
		}, 7000, 560},
		{"nonsense", map[string]string{
			"proc/self/cgroup": "\n::\n0\n", "sys/fs/cgroup/memory.max": "-1\n", "sys/fs/cgroup/memory.stat": "anon\nanon x\n",
		}, 0, 0},
		{"a path that leads out", map[string]string{
			"proc/self/cgroup": "0::/../../etc\n", "etc/memory.max": "1\n", "etc/memory.stat": statV2,
			"sys/fs/cgroup/memory.max": "4096\n", "sys/fs/cgroup/memory.stat": statV2,
		}, 4096, 1200},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for name, text := range test.files {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			most, used, ok := container{files: files}.memory()
			if !ok {
				most, used = 0, 0
			}
			if most != test.most || used != test.used || ok != (test.most > 0) {
				t.Errorf("%d of %d used, %v; want %d of %d", used, most, ok, test.used, test.most)
			}
		})
	}
}
