package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core"
)

const (
	apiTimeout    = 30 * time.Second // Longer than the server takes for any call.
	longestAnswer = 64 << 20         // Bytes; a process takes about one thousand.
)

// apiClient calls the server API of the server with the same configuration.
type apiClient struct {
	url  string
	key  string
	http *http.Client
}

func (env *environment) api(cmd *cobra.Command) (*apiClient, error) {
	loaded, err := env.load(cmd)
	if err != nil {
		return nil, err
	}
	c := loaded.Config.API
	if c.Addr == "" {
		return nil, usageError("the server has no API listener to ask: set api.addr")
	}
	// No proxy: the server is on this machine.
	return &apiClient{url: healthURL(c.Addr), key: c.Key, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}, nil
}

// refusedByAPI is an error that the server answered, as opposed to none.
type refusedByAPI string

func (e refusedByAPI) Error() string { return string(e) }

// call calls a method and reads its result. It waits half a minute when ctx has no deadline.
func (a *apiClient) call(ctx context.Context, method string, request, result any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, given := ctx.Deadline(); !given {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, apiTimeout)
		defer cancel()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/api/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if a.key != "" {
		r.Header.Set("X-API-Key", a.key)
	}
	answer, err := a.http.Do(r)
	if err != nil {
		return fmt.Errorf("no server answers at %s (api.addr); is it running? (%w)", a.url, cause(err))
	}
	defer answer.Body.Close() //nolint:errcheck // Only read.
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestAnswer))
	if err != nil {
		return fmt.Errorf("no whole answer from %s: %w", a.url, err)
	}
	var read struct {
		Result json.RawMessage
		Error  *struct {
			Code    uint32
			Message string
		}
	}
	err = json.Unmarshal(text, &read)
	switch {
	case answer.StatusCode == http.StatusUnauthorized && a.key == "":
		return refusedByAPI("the server wants its key: give the api.key of its configuration, as ZENCONN_API__KEY in the environment for example")
	case answer.StatusCode == http.StatusUnauthorized:
		return refusedByAPI("the server has another api.key than this configuration")
	case err == nil && read.Error != nil && read.Error.Code == core.ErrMethodNotFound.Code:
		return refusedByAPI(fmt.Sprintf("the server at %s does not know %q: its version is another one", a.url, method))
	case err == nil && read.Error != nil:
		return refusedByAPI(read.Error.Message)
	case err != nil || read.Result == nil:
		return refusedByAPI(fmt.Sprintf("what answers at %s (api.addr) is not ZenConn's API: status %s", a.url, answer.Status))
	}
	if err := json.Unmarshal(read.Result, result); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", a.url, err)
	}
	return nil
}

// cause is an error without what is wrapped around it.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
