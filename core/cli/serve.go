package cli

import (
	"context"

	"github.com/zenconn/server/core/config"
)

func serve(ctx context.Context, _ *environment, _ *config.Loaded) error {
	<-ctx.Done()
	return nil
}
