package web

import (
	"strconv"
	"strings"
)

// accepted reads an Accept-Encoding header (RFC 9110 §12.5.3) as far as we can choose: whether brotli and gzip are welcome.
// When both are, brotli is the better one. Weights other than zero make no difference, because browsers do not send them.
func accepted(header string) (br, gz bool) {
	seen := map[string]bool{}
	for item := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(item, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding == "x-gzip" {
			coding = "gzip"
		}
		seen[coding] = weight(params) > 0
	}
	welcome := func(coding string) bool {
		ok, named := seen[coding]
		return ok || !named && seen["*"]
	}
	return welcome("br"), welcome("gzip")
}

// weight returns the q parameter: 1 when there is none, 0 when it is not a number.
func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}
