package api

import (
	_ "embed"
	"net/http"
	"strings"
	"time"
)

// openAPIPath is where the description of the server API is. It holds no secret and needs no key.
const openAPIPath = "/api/openapi.yaml"

//go:embed openapi.yaml
var openAPI string

func serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	http.ServeContent(w, r, "openapi.yaml", time.Time{}, strings.NewReader(openAPI))
}
