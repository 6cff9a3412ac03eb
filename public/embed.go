// Package public holds what the server shows to browsers when no directory is configured: the demo chat.
package public

import "embed"

// Files are the built-in pages.
//
//go:embed *.html *.css *.js *.svg vendor
var Files embed.FS
