package protocol

import (
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// Limits on what a command may make the server build, beside the transport's limit on the size of a frame.
const (
	maxJSONDepth    = 512 // Objects and arrays within each other.
	maxMessageDepth = 40  // Protobuf messages within each other: some 35 levels of a tag filter.
	maxFilterDepth  = 32  // Levels of a tag filter in JSON.
)

// FrameError says why a frame is not of the client protocol. It tells nothing about one command: the connection must be
// ended, since what the rest of the frame means cannot be known.
type FrameError struct {
	Format  Format
	Offset  int // Bytes into the frame where reading it stopped.
	Problem string
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("not a %s frame of the client protocol: at byte %d: %s", e.Format, e.Offset, e.Problem)
}

// Decoder iterates over the commands in one frame.
type Decoder struct {
	format Format
	frame  []byte
	pos    int
	err    error // What Next returns from now on.

	publish PublishRequest // Of the command read last, in JSON: most commands are publications.
}

// Commands returns an iterator over the commands in a client's frame. It reads from the frame until Next returned an error.
func (f Format) Commands(frame []byte) Decoder {
	return Decoder{format: f, frame: frame}
}

// Next replaces *cmd with the next command, whose memory is its own: the frame may be reused afterwards. Only cmd.Publish, though not
// what it holds, is overwritten by the next call. A command without any request is the answer to a server ping. The error is io.EOF
// after the last command, else a *FrameError, and *cmd is then worthless. A frame without any command is malformed.
func (d *Decoder) Next(cmd *Command) error {
	cmd.Reset()
	if d.err == nil {
		if d.format == Protobuf {
			d.err = d.nextProtobuf(cmd)
		} else {
			d.err = d.nextJSON(cmd)
		}
	}
	return d.err
}

func (d *Decoder) fail(problem string) error {
	return &FrameError{Format: d.format, Offset: d.pos, Problem: problem}
}

func (d *Decoder) nextProtobuf(cmd *Command) error {
	if d.pos == len(d.frame) {
		if d.pos == 0 {
			return d.fail("no command")
		}
		return io.EOF
	}
	size, n := binary.Uvarint(d.frame[d.pos:])
	if n <= 0 {
		return d.fail("want the length of a command")
	}
	rest := d.frame[d.pos+n:]
	if size > uint64(len(rest)) {
		return d.fail("the length of a command reaches beyond the frame")
	}
	message := rest[:size]
	if err := commandShape().check(message, maxMessageDepth); err != nil {
		return d.fail(err.Error())
	}
	if err := cmd.UnmarshalVT(message); err != nil {
		return d.fail(err.Error())
	}
	for channel, request := range cmd.GetConnect().GetSubs() {
		if request == nil { // The generated code's idea of an entry without a value, which stands for an empty one.
			cmd.Connect.Subs[channel] = new(SubscribeRequest)
		}
	}
	d.pos += n + int(size)
	return nil
}

func (d *Decoder) nextJSON(cmd *Command) error {
	if d.pos == 0 && !utf8.Valid(d.frame) {
		return d.fail("not UTF-8")
	}
	s := scanner{buf: d.frame, pos: d.pos, publication: &d.publish}
	s.blanks()
	if s.pos == len(s.buf) {
		if d.pos == 0 {
			return d.fail("no command")
		}
		return io.EOF
	}
	if d.pos > 0 && !s.newline(d.pos) {
		d.pos = s.pos
		return d.fail("want a newline between commands")
	}
	s.command(cmd)
	d.pos = s.pos
	if s.problem != "" {
		return d.fail(s.problem)
	}
	return nil
}
