package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
)

// workerRequest is what the flags of zenconn worker say.
type workerRequest struct {
	addr, name, data string

	// Of a process that an agent has started.
	child int
	agent string

	log config.Log
	bus config.Bus
}

// The flags that say how to reach the bus, with the keys of the configuration that mean the same. Values of the last ones come from files.
var busFlags = []struct{ flag, key, usage string }{
	{"agent", "bus.url", "`URL` of the agent's bus, such as nats://10.0.0.1:4222, or tls://… for an encrypted one; several with commas between them"},
	{"bus-prefix", "bus.prefix", "what bus.prefix is on the agent"},
	{"credentials-file", "bus.credentials_file", "`FILE` with the credentials (.creds) for an external NATS"},
	{"user", "bus.user", "`NAME` of the user on an external NATS"},
	{"tls-ca", "bus.tls.ca", "PEM `FILE` with the authorities that may have signed the bus's certificate; default: those of the system"},
	{"tls-cert", "bus.tls.cert", "PEM `FILE` with this worker's certificate, if the bus asks for one"},
	{"tls-key", "bus.tls.key", "PEM `FILE` with its key"},
	{"tls-server-name", "bus.tls.server_name", "`NAME` that the bus's certificate must be for, when it is not the one in the URL"},
	{"token-file", "bus.token", "`FILE` with the agent's token, which is bus.token in the agent's data directory"},
	{"password-file", "bus.password", "`FILE` with the password of --user"},
}

// newWorkerCommand makes the command. work is what a process does that has joined, until its context ends; the bus is not its to close.
func newWorkerCommand(env *environment, work func(context.Context, *environment, *join.Joined, *bus.Bus) error) *cobra.Command {
	var r workerRequest
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run a worker, which keeps clients for an agent",
		Long: `Runs a process that keeps client connections and gets everything else from its agent over the bus: its name, the configuration
and the plugins. It needs the address of the agent's bus (bus.listen) and the token from the file bus.token in the agent's data
directory. While the agent does not answer it goes on trying; a wrong token or another version of zenconn ends it at once.

What belongs to the configuration is set on the agent; the worker's own flags are those below, --log.level and --log.format.`,
		Example: `  zenconn worker --agent tls://10.0.0.1:4222 --tls-ca ca.pem --token-file bus.token --addr :8000`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.read(cmd, env); err != nil {
				return err
			}
			return r.run(cmd.Context(), env, work)
		},
	}
	flags := cmd.Flags()
	for _, f := range busFlags {
		flags.String(f.flag, "", f.usage)
	}
	flags.StringVar(&r.addr, "addr", "", "`ADDRESS` of the listener for clients; default: client.addr of the agent")
	flags.StringVar(&r.name, "name", "", "`NAME` of this worker in logs, audit and status; default: that of the machine")
	flags.StringVar(&r.data, "data", "./data", "`DIR` for the plugins and their compiled code; workers may share one")
	flags.IntVar(&r.child, "child", 0, "which child of the agent this is")
	flags.StringVar(&r.agent, "agent-uid", "", "which agent has started this")
	for _, internal := range []string{"child", "agent-uid"} {
		_ = flags.MarkHidden(internal) // It exists.
	}
	return cmd
}

// read checks the flags and what they name.
func (r *workerRequest) read(cmd *cobra.Command, env *environment) error {
	foreign := ""
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && !strings.HasPrefix(f.Name, "log.") {
			foreign = f.Name
		}
	})
	switch {
	case foreign != "":
		return usageError("a worker takes its configuration from its agent: set " + foreign + " there (--help shows what can be set here)")
	case r.addr != "" && !validAddress(r.addr):
		return usageError(fmt.Sprintf("--addr: want host:port or :port, not %q", r.addr))
	case r.name != "" && !config.ValidNodeName(r.name):
		return usageError(fmt.Sprintf("--name: want up to 128 letters, digits, dots, - and _, not %q", r.name))
	case r.data == "":
		return usageError("--data: want a directory")
	case (r.child > 0) != (r.agent != ""):
		return usageError("--child and --agent-uid go together: agents give them to their workers")
	}
	c, err := workerConfig(cmd)
	if err != nil {
		return err
	}
	r.log, r.bus = c.Log, c.Bus
	inherited, ok, err := config.InheritedBus(env.environ)
	switch {
	case err != nil:
		return err
	case ok && r.child > 0:
		r.bus = inherited
	case r.bus.URL == "":
		return usageError("--agent: say where the agent's bus is, such as nats://10.0.0.1:4222")
	}
	return nil
}

// workerConfig checks the flags that mean the same as keys of the configuration, as the configuration would be.
func workerConfig(cmd *cobra.Command) (*config.Config, error) {
	set := pflag.NewFlagSet("worker", pflag.ContinueOnError)
	config.AddFlags(set)
	own := map[string]string{} // The flags of the worker by key.
	for _, f := range busFlags {
		own[f.key] = "--" + f.flag
		flag := cmd.Flags().Lookup(f.flag)
		if !flag.Changed {
			continue
		}
		value := flag.Value.String()
		if strings.HasSuffix(f.flag, "-file") && f.key != "bus.credentials_file" {
			var err error
			if value, err = secretFile(value); err != nil {
				return nil, fmt.Errorf("--%s: %w", f.flag, err)
			}
		}
		if err := set.Set(f.key, value); err != nil {
			return nil, err
		}
	}
	for _, key := range []string{"log.level", "log.format"} {
		if flag := cmd.Flags().Lookup(key); flag != nil && flag.Changed {
			if err := set.Set(key, flag.Value.String()); err != nil {
				return nil, err
			}
		}
	}
	// Without any flag it would be the demo mode's.
	if err := set.Set("demo", "false"); err != nil {
		return nil, err
	}
	loaded, err := config.Load(config.Sources{Flags: set})
	if broken, ok := errors.AsType[*config.Error](err); ok {
		return nil, inFlags(broken, own)
	}
	if err != nil {
		return nil, err
	}
	return &loaded.Config, nil
}

// inFlags tells problems in the words of the worker's flags instead of the configuration's keys.
func inFlags(broken *config.Error, own map[string]string) error {
	var pairs []string
	for _, f := range busFlags {
		pairs = append(pairs, f.key, own[f.key])
	}
	words := strings.NewReplacer(pairs...)
	problems := make([]config.Problem, len(broken.Problems))
	for i, p := range broken.Problems {
		problems[i] = config.Problem{Text: words.Replace(p.Text)}
		problems[i].Origin.Source = cmp.Or(own[p.Key], p.Origin.Source)
	}
	return &config.Error{Problems: problems}
}

// secretFile reads a secret that stands alone in a file.
func secretFile(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // The user names the file.
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

func validAddress(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// run joins the agent and works for it until ctx ends.
func (r *workerRequest) run(ctx context.Context, env *environment, work func(context.Context, *environment, *join.Joined, *bus.Bus) error) (err error) {
	b, joined, err := r.join(ctx, env)
	if b != nil {
		defer func() { err = errors.Join(err, b.Close()) }()
	}
	switch {
	case err == nil:
		return work(ctx, env, joined, b)
	case ctx.Err() != nil:
		return nil // It was asked to end, and there is nothing to end yet.
	}
	return err
}

// join connects to the bus and asks the agent. The bus is the caller's to close, if there is one.
func (r *workerRequest) join(ctx context.Context, env *environment) (*bus.Bus, *join.Joined, error) {
	host, _ := os.Hostname() // Without one the agent finds a name.
	log := newLogger(r.log, env)
	b := bus.New(bus.Options{Config: r.bus, Node: cmp.Or(r.name, host, "worker"), Insist: true, Log: log})
	log.Info("joining the agent", "bus", r.bus.URL)
	if err := b.Open(ctx); err != nil {
		return nil, nil, err
	}
	joined, err := join.Join(ctx, join.Options{
		Bus: b, Version: version(), UID: core.NewID(), PID: os.Getpid(), Host: host, Name: r.name, Data: r.data,
		Agent: r.agent, Index: r.child, Log: log,
	})
	if err != nil {
		return b, nil, err
	}
	if r.addr != "" {
		joined.Config.Client.Addr = r.addr
	}
	if joined.Config.Demo && !loopback(joined.Config.Client.Addr) {
		return b, nil, fmt.Errorf("the agent runs in demo mode, which lets everybody in, so that its workers listen on their own machine only: "+
			"want a loopback address such as 127.0.0.1:8000, not %s", joined.Config.Client.Addr)
	}
	log.Info("joined the agent", "as", joined.Name, "agent", joined.AgentName, "agent_version", joined.AgentVersion, "plugins", len(joined.Plugins))
	return b, joined, nil
}

func loopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
