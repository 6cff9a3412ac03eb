package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/zenconn/server/core/api"
)

// described loads the document as the server serves it.
func (r *running) described() *openapi3.T {
	r.t.Helper()
	status, text, response := r.do(http.MethodGet, "/api/openapi.yaml", "")
	if status != http.StatusOK || response.Header.Get("Content-Type") != "application/yaml" {
		r.t.Fatalf("%d %v", status, response.Header)
	}
	document, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return document
}

func TestOpenAPIIsValid(t *testing.T) {
	r := start(t, configuration())
	document := r.described()
	if !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Errorf("version %s", document.OpenAPI)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// No method without a description, no description without a method, and the same for the fields of requests.
func TestOpenAPIIsComplete(t *testing.T) {
	r := start(t, configuration())
	document := r.described()
	described := make([]string, 0, document.Paths.Len())
	for path, item := range document.Paths.Map() {
		described = append(described, path)
		for method := range item.Operations() {
			// Whatever is described is there: the server knows the path, with this verb.
			if status, answer, _ := r.do(method, path, "{}", "X-API-Key", key); status == 404 || status == 405 {
				t.Errorf("%s %s: %d %s", method, path, status, answer)
			}
		}
	}
	want := []string{"/api", "/api/batch", "/api/openapi.yaml"}
	for _, method := range api.Methods() {
		want = append(want, "/api/"+method)
	}
	slices.Sort(described)
	slices.Sort(want)
	if !slices.Equal(described, want) {
		t.Fatalf("described: %v\nserved:    %v", described, want)
	}
	for _, method := range api.Methods() {
		operation := document.Paths.Value("/api/" + method).Post
		if operation.OperationID != method {
			t.Errorf("%s is described as %s", method, operation.OperationID)
		}
		schema := operation.RequestBody.Value.Content["application/json"].Schema.Value
		if got := properties(schema); !slices.Equal(got, api.Fields(method)) {
			t.Errorf("%s: described %v, understood %v", method, got, api.Fields(method))
		}
		for _, name := range []string{"Command", "Reply"} {
			if document.Components.Schemas[name].Value.Properties[method] == nil {
				t.Errorf("%s is not described in a batch's %s", method, name)
			}
		}
	}
}

// properties names a schema's properties, with those it takes over.
func properties(s *openapi3.Schema) (names []string) {
	for name := range s.Properties {
		names = append(names, name)
	}
	for _, other := range s.AllOf {
		names = append(names, properties(other.Value)...)
	}
	slices.Sort(names)
	return names
}

// The examples work, and what the server answers to them is as described.
func TestOpenAPIExamples(t *testing.T) {
	r := start(t, configuration(), calculator)
	r.connect("alice").subscribe("news")
	r.connect("bob").subscribe("news")
	document := r.described()
	paths := document.Paths.Map()
	for _, path := range append([]string{"/api/publish"}, slices.Sorted(func(yield func(string) bool) {
		for path := range paths {
			if !yield(path) {
				return
			}
		}
	})...) {
		operation := paths[path].Post
		if operation == nil {
			continue
		}
		example, err := json.Marshal(operation.RequestBody.Value.Content["application/json"].Example)
		if err != nil || string(example) == "null" {
			t.Errorf("%s has no example (%v)", path, err)
			continue
		}
		for _, body := range []string{string(example), `{"channel":"nowhere:a"}`, `{`} {
			r.asDescribed(document, path, body, body == string(example))
		}
	}
}

// asDescribed makes a request and compares it and its answer with the description.
func (r *running) asDescribed(document *openapi3.T, path, body string, works bool) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.api+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-API-Key", key)
	item := document.Paths.Value(path)
	input := &openapi3filter.RequestValidationInput{
		Request: request, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		Route: &routers.Route{Spec: document, Path: path, PathItem: item, Method: http.MethodPost, Operation: item.Post},
	}
	if works {
		if err := openapi3filter.ValidateRequest(r.t.Context(), input); err != nil {
			r.t.Errorf("%s: the example is not as described: %v", path, err)
		}
	}
	response, err := r.http.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if works && (response.StatusCode != http.StatusOK || bytes.HasPrefix(answer, []byte(`{"error"`))) {
		r.t.Errorf("%s: the example %s is answered with %d %s", path, body, response.StatusCode, answer)
	}
	err = openapi3filter.ValidateResponse(r.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(answer)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		r.t.Errorf("%s: the answer %d %s to %s is not as described: %v", path, response.StatusCode, answer, body, err)
	}
}
