package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// asText is the form of a value in tables and CSV. Bytes that are no text are shown in hexadecimal digits.
func asText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		if !utf8.ValidString(v) {
			return "0x" + hex.EncodeToString([]byte(v))
		}
		return v
	case []byte:
		return asText(string(v))
	case []any, map[string]any:
		text, err := asJSON(v)
		if err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(value)
}

func asJSON(value any) ([]byte, error) {
	switch v := value.(type) {
	case string, []byte:
		value = asText(v)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return json.Marshal(fmt.Sprint(value)) // Infinity and NaN have no JSON form.
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// jsonLines prints one object per line, its keys in the order of the columns.
type jsonLines struct {
	out  *bufio.Writer
	keys [][]byte
}

func newJSONLines(w io.Writer) *jsonLines { return &jsonLines{out: bufio.NewWriter(w)} }

func (j *jsonLines) columns(names []string) error {
	for _, name := range names {
		key, err := asJSON(name)
		if err != nil {
			return err
		}
		j.keys = append(j.keys, key)
	}
	return nil
}

func (j *jsonLines) row(values []any) error {
	separator := byte('{')
	for i, value := range values {
		text, err := asJSON(value)
		if err != nil {
			return err
		}
		j.out.WriteByte(separator)
		j.out.Write(j.keys[i])
		j.out.WriteByte(':')
		j.out.Write(text)
		separator = ','
	}
	_, err := j.out.WriteString("}\n")
	return err
}

func (j *jsonLines) end() error { return j.out.Flush() }

// csvLines prints comma-separated values with the line ends of RFC 4180.
type csvLines struct{ out *csv.Writer }

func newCSVLines(w io.Writer) *csvLines {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	return &csvLines{out}
}

func (c *csvLines) columns(names []string) error { return c.out.Write(names) }

func (c *csvLines) row(values []any) error {
	fields := make([]string, len(values))
	for i, value := range values {
		fields[i] = asText(value)
	}
	return c.out.Write(fields)
}

func (c *csvLines) end() error {
	c.out.Flush()
	return c.out.Error()
}
