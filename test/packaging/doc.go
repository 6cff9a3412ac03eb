// Package packaging checks what can be known of the container image and the Compose project without a container engine: that the
// build's own command makes a static binary from nothing but the build context, that the Compose file is valid and as careful as
// it says, and that the password two services share is made as each of them needs it.
package packaging
