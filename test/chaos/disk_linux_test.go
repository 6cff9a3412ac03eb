package chaos_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

const plain = "  plain: {subscribe: anyone, publish: anyone}\n"

// A full disk stops what must be kept on it, with an error, and nothing else; when there is room again all goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		testenv.Skip(t, "a small disk is a tmpfs, which takes root to mount: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // Before the server's own end comes, which runs first.
			t.Error(err)
		}
	})
	s := server.Start(t, server.Options{Config: open + plain, Dir: dir})
	hearer := chaos.Join(t, chaos.Who{URL: url(s), User: "hearer", Channel: "plain:x"})
	kept := chaos.Join(t, chaos.Who{URL: url(s), User: "kept", Channel: "kept"})
	speaker := chaos.Join(t, chaos.Who{URL: url(s), User: "speaker"})
	ballast := filepath.Join(dir, "ballast")
	fill(t, dir, ballast)

	payload, acknowledged := strings.Repeat("x", 30_000), 0
	var refused error
	for range 2000 {
		if refused = speaker.Publish("kept", payload); refused != nil {
			break
		}
		acknowledged++
	}
	if refused == nil || !strings.Contains(refused.Error(), "error 100") {
		t.Fatalf("publishing into a history on a full disk: %v", refused)
	}
	if h := awaitHealth(t, s, "degraded"); h.Checks["bus"] == "ok" && h.Checks["history"] == "ok" {
		t.Errorf("/readyz names neither the bus nor the history: %v", h)
	}
	if err := speaker.Publish("plain:x", "still"); err != nil {
		t.Errorf("publishing where nothing is kept: %v", err)
	}
	hearer.AwaitOnce("still")

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, chaos.Patience, "there is room again", func() string {
		if err := speaker.Publish("kept", "again"); err != nil {
			return err.Error()
		}
		return ""
	})
	awaitHealth(t, s, "ok")
	chaos.Await(t, chaos.Patience, "the subscriber has heard all", func() string {
		heard := kept.Heard()
		if len(heard) <= acknowledged || string(heard[len(heard)-1]) != `"again"` {
			return "some are missing"
		}
		return ""
	})
}

// fill leaves less than a mebibyte free on a disk; nothing, if the server takes that meanwhile.
func fill(t *testing.T, dir, path string) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	if err := os.WriteFile(path, make([]byte, free-512<<10), 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// The ioctls that stop a file system from taking anything, and let it go on (linux/fs.h).
const (
	freeze = 0xC0045877
	thaw   = 0xC0045878
)

// No publication waits for the disk of another namespace. The disk of one is stopped altogether: nothing is slower.
func TestSlowDisk(t *testing.T) {
	s := server.Start(t, server.Options{Config: open + plain + "  slow: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m}\n"})
	s.Stop()
	streams, err := filepath.Glob(filepath.Join(s.Dir(), "data", "nats", "jetstream", "*", "streams", "zenconn_h_slow"))
	if err != nil || len(streams) != 1 {
		t.Fatalf("the history is in %v, %v", streams, err)
	}
	disk := newDisk(t, streams[0])
	s.Run()
	t.Cleanup(disk.thaw) // Before the server ends.
	hearers := map[string]*chaos.Client{}
	for _, name := range []string{"plain:x", "quick", "slow:x"} {
		hearers[name] = chaos.Join(t, chaos.Who{URL: url(s), User: name, Channel: name})
	}
	waiting := chaos.Join(t, chaos.Who{URL: url(s), User: "waiting"})
	speaker := chaos.Join(t, chaos.Who{URL: url(s), User: "speaker"})
	say := func(text string) {
		t.Helper()
		for _, name := range []string{"plain:x", "quick"} {
			if err := speaker.Publish(name, text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	disk.freeze()
	answer := make(chan error, 1)
	go func() { answer <- waiting.Publish("slow:x", "late") }()
	texts := []string{"one", "two", "three", "four", "five"}
	for _, text := range texts {
		say(text)
	}
	hearers["plain:x"].AwaitOnce(texts...)
	hearers["quick"].AwaitOnce(texts...)
	if err := <-answer; err == nil || !strings.Contains(err.Error(), "error 100") {
		t.Errorf("a publication that cannot be stored: %v", err)
	}
	disk.thaw()
	chaos.Await(t, chaos.Patience, "the disk works again", func() string {
		if err := waiting.Publish("slow:x", "again"); err != nil {
			return err.Error()
		}
		return ""
	})
	awaitHealth(t, s, "ok")
	// What was refused has been stored all the same, when the disk went on. It comes first: nobody sees a gap.
	hearers["slow:x"].AwaitOnce("late", "again")
}

// disk is a file system of its own in a file.
type disk struct {
	t      *testing.T
	at     string
	frozen bool
}

// newDisk puts a folder, with what is in it, on a disk of its own.
func newDisk(t *testing.T, folder string) *disk {
	t.Helper()
	const lacking = "a disk that can be stopped is an ext4 in a file, which takes root, loop devices and mkfs.ext4 (apt-get install e2fsprogs)"
	image, content := filepath.Join(t.TempDir(), "disk"), folder+".before"
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil { //nolint:gosec // Our own words.
		testenv.Skip(t, lacking+": "+err.Error()+string(out))
	}
	if err := os.Rename(folder, content); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, folder).CombinedOutput(); err != nil { //nolint:gosec // The same.
		testenv.Skip(t, lacking+": "+err.Error()+string(out))
	}
	d := &disk{t: t, at: folder}
	t.Cleanup(func() {
		d.thaw()
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.RemoveAll(filepath.Join(folder, "lost+found")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(folder, os.DirFS(content)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(content); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) freeze() { d.control(freeze, true) }

func (d *disk) thaw() {
	if d.frozen {
		d.control(thaw, false)
	}
}

func (d *disk) control(request uint, frozen bool) {
	d.t.Helper()
	f, err := os.Open(d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), request, 0); err != nil {
		d.t.Fatal(err)
	}
	d.frozen = frozen
	if frozen { // Should the test hang, the machine shall not.
		safety := time.AfterFunc(4*time.Minute, func() { exec.Command("fsfreeze", "-u", d.at).Run() }) //nolint:errcheck,gosec // The last resort.
		d.t.Cleanup(func() { safety.Stop() })
	}
}
