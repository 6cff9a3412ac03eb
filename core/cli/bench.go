package cli

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/zenconn/server/bench"
)

// benchScenario is one of the commands below bench.
type benchScenario struct {
	scenario bench.Scenario
	short    string
	long     string
	flags    func(*pflag.FlagSet, *bench.Options)
}

var benchScenarios = []benchScenario{
	{
		bench.Fanout, "Many subscribers of one channel: deliveries per second",
		`Subscribers of one channel receive everything that a few publishers send. By default as fast as it goes: a publication is in
flight until every subscriber has it. With --rate, so many publications per second, whatever the server does.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Clients, "subscribers", o.Clients, "subscribers of the channel")
			f.IntVar(&o.Publishers, "publishers", o.Publishers, "connections that publish")
			publishFlag(f, o)
			trafficFlags(f, o)
		},
	}, {
		bench.Channels, "Many channels with a few subscribers each: deliveries per second",
		`Every channel has its own subscribers, each with a connection of its own; the publishers take the channels in turn.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Channels, "channels", o.Channels, "channels")
			f.IntVar(&o.Clients, "subscribers", o.Clients, "subscribers of each channel")
			f.IntVar(&o.Publishers, "publishers", o.Publishers, "connections that publish")
			publishFlag(f, o)
			trafficFlags(f, o)
		},
	}, {
		bench.Echo, "Clients that publish to themselves: the round trip",
		`Every client is the only subscriber of its channel and publishes there; latency is from the time a publication was due to its
return. With --rate 0, as fast as it goes.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Clients, "clients", o.Clients, "connections")
			trafficFlags(f, o)
			f.IntVar(&o.Storm, "storm", o.Storm, "so many other clients connect and leave at a time, as fast as they can, while it is measured")
			f.Lookup("in-flight").Usage += "; 0: one per client"
		},
	}, {
		bench.Connect, "Clients that connect: connects per second",
		`Connections are made as fast as the server answers, --concurrency at a time, each with its connect command; latency is from the
dialing to the answer. They stay open until all are there.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Clients, "clients", o.Clients, "connections")
			f.BoolVar(&o.Bare, "bare", o.Bare, "only the WebSocket handshake, without a connect command")
		},
	}, {
		bench.Idle, "Idle connections with one subscription each: memory",
		`Connections with a channel each are opened and held. With --pid, the server's resident memory before and at the end.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Clients, "clients", o.Clients, "connections")
			f.DurationVar(&o.Duration, "duration", o.Duration, "how long they are held")
		},
	}, {
		bench.History, "Publishers into channels with history: acknowledgements per second",
		`Publishers send into channels that nobody is subscribed to; latency is from the time a publication was due to the server's
acknowledgement. At the end the server is asked whether it has them all. The namespace must keep a history.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Publishers, "publishers", o.Publishers, "connections that publish")
			f.IntVar(&o.Channels, "channels", o.Channels, "channels, which the publishers take in turn")
			trafficFlags(f, o)
		},
	}, {
		bench.Recovery, "Subscribers that come back all at once: the time until they have what they missed",
		`Subscribers get a publication and leave; more are published, --missed in each channel; then all come back at the same moment and
recover. The time is until the last of them has everything, latency from a client's dialing until it has its own. In the end each
channel gets one more publication, live. The namespace must keep a history of that many, with recovery.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Clients, "clients", o.Clients, "subscribers that come back")
			f.IntVar(&o.Channels, "channels", o.Channels, "channels, which they are spread over evenly")
			f.IntVar(&o.Missed, "missed", o.Missed, "publications that they miss in each channel")
			f.IntVar(&o.Publishers, "publishers", o.Publishers, "connections that publish")
			f.IntVar(&o.InFlight, "in-flight", o.InFlight, "publications under way at a time, in all")
			f.IntVar(&o.Size, "size", o.Size, "bytes of a payload")
			publishFlag(f, o)
		},
	}, {
		bench.Presence, "One channel with many members: how long it takes to say who they are",
		`One of the members asks who is in the channel, again and again, one question at a time; or, with --api-url, the server API is asked.
Latency is from the question until the whole answer is there. Every answer must name every member. The namespace must offer presence.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Clients, "members", o.Clients, "members of the channel")
			f.Float64Var(&o.Rate, "rate", o.Rate, "questions per second at most; 0: as fast as they are answered")
			f.StringVar(&o.APIURL, "api-url", o.APIURL, "ask the server API at this `URL`, such as http://127.0.0.1:8001")
			f.StringVar(&o.APIKey, "api-key", o.APIKey, "`KEY` for the server API")
			f.DurationVar(&o.Warmup, "warmup", o.Warmup, "time that is checked but not measured")
			f.DurationVar(&o.Duration, "duration", o.Duration, "time that is measured")
		},
	}, {
		bench.Subscriptions, "Clients with many channels each: memory",
		`Clients connect, subscribe to channels that nobody else is in, and are idle for a while. With --pid, the server's resident memory before
they subscribed and at the end. Then every client publishes into each of its channels, and must get all of it.`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.IntVar(&o.Clients, "clients", o.Clients, "connections")
			f.IntVar(&o.Channels, "channels", o.Channels, "channels that each of them subscribes to")
			f.DurationVar(&o.Duration, "duration", o.Duration, "how long they are idle")
			f.IntVar(&o.InFlight, "in-flight", o.InFlight, "publications under way at a time at the end, in all")
			f.IntVar(&o.Size, "size", o.Size, "bytes of a payload")
		},
	},
}

func publishFlag(f *pflag.FlagSet, o *bench.Options) {
	f.StringVar(&o.PublishURL, "publish-url", o.PublishURL, "`URL` for the connections that publish, such as another worker's; empty: --url")
}

func trafficFlags(f *pflag.FlagSet, o *bench.Options) {
	f.IntVar(&o.Size, "size", o.Size, "bytes of a payload")
	f.Float64Var(&o.Rate, "rate", o.Rate, "publications per second in all; 0: as fast as the server answers")
	f.IntVar(&o.InFlight, "in-flight", o.InFlight, "without a rate, publications under way at a time, in all")
	f.DurationVar(&o.Warmup, "warmup", o.Warmup, "time that is checked but not measured")
	f.DurationVar(&o.Duration, "duration", o.Duration, "time that is measured")
}

func newBenchCommand(env *environment) *cobra.Command {
	cmd := group("bench", "Measure a server with many clients")
	cmd.Long = `Opens many client connections to a running server, measures it, and checks every message: the exit code is 1 when one was lost,
came twice or out of order, or when a connection ended. With --pid (on Linux, for a server on this machine) it shows what the
server used for it, and always what it used itself. With --agent.workers the server is several processes: name each with --pid.

history and recovery need a namespace with history_size and recovery, presence one with presence; choose it with --namespace. A server in
demo mode has all of that in its default one, and lets a session send 100 commands per second; as fast as it goes it is with
client.limits.commands_per_second: 0.`
	cmd.Example = `  zenconn bench fanout                                  1,000 subscribers of a demo server on this machine
  zenconn bench fanout --subscribers 5000 --rate 30     the same at a fixed rate
  zenconn bench idle --pid "$(pidof zenconn)"           memory per connection
  zenconn bench echo --storm 64                         the round trip while others connect as fast as they can
  zenconn bench recovery                                1,000 clients that missed 50 publications each
  zenconn bench connect --token-secret "$SECRET"        every client with a token of its own
  zenconn bench profile fanout                          with a server of its own, and which of its functions took how long`
	for _, s := range benchScenarios {
		cmd.AddCommand(newBenchScenario(env, s, runBench))
	}
	cmd.AddCommand(newBenchProfileCommand(env))
	return cmd
}

// newBenchScenario makes the command of a scenario. run does it; the options have been checked.
func newBenchScenario(env *environment, s benchScenario, run benchRunner) *cobra.Command {
	o := bench.Defaults(s.scenario)
	var oneLine bool
	cmd := &cobra.Command{Use: string(s.scenario), Short: s.short, Long: s.long, Args: cobra.NoArgs}
	f := cmd.Flags()
	s.flags(f, &o)
	f.StringVar(&o.URL, "url", o.URL, "`URL` of the server's WebSocket endpoint")
	f.StringVar(&o.Protocol, "protocol", o.Protocol, "json or protobuf")
	f.StringVar(&o.Namespace, "namespace", o.Namespace, "namespace of the channels; empty: the default one")
	f.StringVar(&o.Channel, "channel", o.Channel, "how the channels' names begin")
	f.BoolVar(&o.Compress, "compress", o.Compress, "let the server compress what it sends (permessage-deflate)")
	f.IntVar(&o.Concurrency, "concurrency", o.Concurrency, "connections that are being made at a time")
	f.IntVar(&o.Readers, "readers", o.Readers, "event loops that read; 0: half the processors; -1: a goroutine per connection")
	f.IntSliceVar(&o.PIDs, "pid", o.PIDs, "process `ID` of the server, to show what it uses; repeatable")
	f.StringVar(&o.Token, "token", o.Token, "`JWT` that every client connects with")
	f.StringVar(&o.TokenSecret, "token-secret", o.TokenSecret, "HMAC `SECRET` to sign a token for each client, users bench-0, bench-1, …")
	f.StringVar(&o.UserData, "user-data", o.UserData, "connect as users `NAME`-0, NAME-1, … where the server takes names on trust")
	f.BoolVar(&oneLine, "json", false, "print one line of JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.Check(); err != nil {
			return usageError(err.Error())
		}
		return run(cmd, env, o, oneLine, nil)
	}
	return cmd
}

// benchRunner runs a scenario and prints the report. tell, when not nil, is told how it goes as well.
type benchRunner func(cmd *cobra.Command, env *environment, o bench.Options, oneLine bool, tell func(bench.Progress)) error

func runBench(cmd *cobra.Command, env *environment, o bench.Options, oneLine bool, tell func(bench.Progress)) error {
	show, clear := func(bench.Progress) {}, func() {}
	if columns, ok := terminal(env.stderr); ok {
		bar := bench.NewProgressBar(env.stderr, columns)
		show, clear = bar.Show, bar.Clear
	}
	report, err := bench.Run(cmd.Context(), o, func(p bench.Progress) {
		show(p)
		if tell != nil {
			tell(p)
		}
	})
	clear()
	if err != nil {
		return err
	}
	if oneLine {
		err = report.WriteJSON(env.stdout)
	} else {
		_, picture := terminal(env.stdout)
		err = report.WriteTable(env.stdout, picture)
	}
	if err != nil {
		return err
	}
	return report.Err()
}

// terminal says whether a stream of the process is a terminal, and how wide.
func terminal(stream any) (columns int, ok bool) {
	file, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil || columns <= 0 {
		columns = 80
	}
	return columns, true
}
