package config

// PayloadPolicy says what the audit keeps of a namespace's payloads.
type PayloadPolicy string

// The policies.
const (
	PayloadFull PayloadPolicy = "full" // All of it.
	PayloadHash PayloadPolicy = "hash" // Its SHA-256, by which a payload that somebody shows can be recognized.
	PayloadNone PayloadPolicy = "none" // Its size only.
)

// payloadAlias reads the words of before, when payloads were kept or not.
func payloadAlias(raw any) any {
	switch raw {
	case true, "true":
		return string(PayloadFull)
	case false, "false":
		return string(PayloadNone)
	}
	return raw
}
