package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/config"
)

func newAuditVerifyCommand(env *environment) *cobra.Command {
	var since string
	var heads []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Find out whether the record was tampered with",
		Long: `Recomputes the chains of digests over the rows of the store, and tells what was changed, removed or added since it was recorded. Rows
whose time is over (audit.keep), and those that were erased by zenconn audit forget or vacuum, may be gone.

Whoever can write to the store can also write a chain anew, or remove its end. With --head, a line that the server has logged ("the
head of this process's audit chain"), that is found out too.

The exit code is 1 when something is not as it was recorded.`,
		Example: `  zenconn audit verify
  zenconn audit verify --since 7d --head node-1/1764000000-0193…#1200:5f2e…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := chain.VerifyOptions{Now: time.Now()}
			var err error
			if o.Since, _, err = period("since", since, "", "", o.Now); err != nil {
				return err
			}
			for _, text := range heads {
				h, err := chain.ParseHead(text)
				if err != nil {
					return usageError("--head: " + err.Error())
				}
				o.Heads = append(o.Heads, h)
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			o.Keep = kept(loaded.Config.Audit.Keep)
			reader, err := store.OpenReader(loaded.Config.Audit, loaded.Config.Data)
			if err != nil {
				return err
			}
			defer reader.Close() //nolint:errcheck // It only read.
			report, err := chain.Verify(cmd.Context(), reader, o)
			if err != nil {
				return err
			}
			if err := printVerified(env.stdout, report, asJSON); err != nil {
				return err
			}
			if report.Broken > 0 {
				return fmt.Errorf("the record is not what was recorded: %s", count(report.Broken, "problem"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "judge only what was recorded from this `TIME` on")
	cmd.Flags().StringArrayVar(&heads, "head", nil, "a `HEAD` that the server has logged and that must be in the chain; repeatable")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return cmd
}

// kept says how long the rows of the tables are kept.
func kept(k config.AuditKeep) chain.Keep {
	keep := chain.Keep{
		"audit_messages": k.Messages, "audit_drops": k.Messages, "audit_decisions": k.Decisions, "audit_sessions": k.Sessions, "audit_actions": k.Actions,
	}
	if min(k.Messages, k.Decisions, k.Sessions, k.Actions) > 0 {
		keep["audit_chain"] = max(k.Messages, k.Decisions, k.Sessions, k.Actions)
	}
	return keep
}

func printVerified(w io.Writer, r *chain.Report, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	vouch := "vouch"
	if r.Links == 1 {
		vouch = "vouches"
	}
	fmt.Fprintf(w, "%s, %s that %s for %s; %s compared\n",
		count(r.Lives, "chain"), count(r.Links, "link"), vouch, count(r.Events, "event"), count(r.Rows, "row"))
	for _, n := range []struct {
		n         int
		one, many string
	}{
		{r.Expired, "event is gone because its time was over", "events are gone because their time was over"},
		{r.Erased, "event was erased, which is signed off", "events were erased, which is signed off"},
		{r.Pending, "event is on its way to the store now", "events are on their way to the store now"},
	} {
		switch n.n {
		case 0:
		case 1:
			fmt.Fprintln(w, "1", n.one)
		default:
			fmt.Fprintln(w, n.n, n.many)
		}
	}
	for i, p := range r.Problems {
		if i == 0 {
			fmt.Fprintln(w, "\nThe first broken link:")
		}
		fmt.Fprintf(w, "  %s\n", printable(p.String()))
	}
	if more := r.Broken - len(r.Problems); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
	if r.Broken == 0 {
		fmt.Fprintln(w, "Nothing was changed, removed or added.")
	}
	if len(r.Heads) > 0 {
		fmt.Fprintf(w, "Newest head, to keep elsewhere: %s\n", r.Heads[0])
	}
	return nil
}
