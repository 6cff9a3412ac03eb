//go:build wasip1

package hook

import (
	"encoding/binary"
	"encoding/json"
	"time"
	"unsafe"
)

//go:wasmimport hook_v1 result
func hostResult(index int32, ptr unsafe.Pointer, size int32) int32

//go:wasmimport hook_v1 now_ms
func hostNow() int64

// Failure is why the server could not do what a function asked for, such as "the store does not answer". What a plugin was not given
// in the configuration (plugins.load[].allow) is not a failure, but a fault that ends its call.
type Failure string

func (f Failure) Error() string { return string(f) }

// What a function returns when it has no result.
const (
	statusAbsent = -1
	statusFailed = -2
)

// outcome makes an error of what a function returned. present is false when there is no result, which is no error.
func outcome(status int32) (present bool, err error) {
	switch status {
	case statusAbsent:
		return false, nil
	case statusFailed:
		return false, Failure(result(0, 0))
	}
	return true, nil
}

// result reads a result of the last function, of which it is known, or guessed, how long it is.
func result(index, size int32) []byte {
	b := make([]byte, max(size, 256))
	for {
		n := hostResult(index, unsafe.Pointer(unsafe.SliceData(b)), int32(len(b)))
		switch {
		case n < 0:
			return nil
		case int(n) <= len(b):
			return b[:n]
		}
		b = make([]byte, n)
	}
}

func resultInt(index int32) int64 {
	var b [8]byte
	if hostResult(index, unsafe.Pointer(&b), 8) != 8 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b[:]))
}

func text(s string) (ptr unsafe.Pointer, size int32) {
	return unsafe.Pointer(unsafe.StringData(s)), int32(len(s))
}

func data(b []byte) (ptr unsafe.Pointer, size int32) {
	return unsafe.Pointer(unsafe.SliceData(b)), int32(len(b))
}

// object is a map as JSON; an empty one is left out.
func object(m map[string]string) []byte {
	if len(m) == 0 {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // There is no such map.
	}
	return b
}

// Now is the server's time.
func Now() time.Time { return time.UnixMilli(hostNow()) }

// KVGet reads a value that this plugin has stored, here or on another node. Revision 0: there is none.
func KVGet(key string) (value []byte, revision int64, err error) {
	k, n := text(key)
	status := hostKVGet(k, n)
	present, err := outcome(status)
	if !present {
		return nil, 0, err
	}
	return result(0, status), resultInt(1), nil
}

// KVSet stores a value for as long as ttl says, 0 for ever, whatever was there before.
func KVSet(key string, value []byte, ttl time.Duration) (revision int64, err error) {
	k, n := text(key)
	v, size := data(value)
	present, err := outcome(hostKVSet(k, n, v, size, ttl.Milliseconds()))
	if !present {
		return 0, err
	}
	return resultInt(0), nil
}

// KVCompareAndSwap stores a value if the key still has the revision that was read, 0 for no value. Otherwise next is 0: read it again.
func KVCompareAndSwap(key string, value []byte, revision int64, ttl time.Duration) (next int64, err error) {
	k, n := text(key)
	v, size := data(value)
	present, err := outcome(hostKVCas(k, n, v, size, revision, ttl.Milliseconds()))
	if !present {
		return 0, err
	}
	return resultInt(0), nil
}

// KVDelete removes a value, if there is one.
func KVDelete(key string) error {
	k, n := text(key)
	_, err := outcome(hostKVDelete(k, n))
	return err
}

// Response is a web server's answer.
type Response struct {
	Status  int
	Headers map[string]string // The names are in lower case.
	Body    []byte
}

// HTTP asks a web server, whose host the configuration must allow, and waits for the answer, whatever its status is.
func HTTP(method, url string, headers map[string]string, body []byte) (Response, error) {
	m, methodSize := text(method)
	u, urlSize := text(url)
	h, headersSize := data(object(headers))
	b, bodySize := data(body)
	present, err := outcome(hostHTTPRequest(m, methodSize, u, urlSize, h, headersSize, b, bodySize))
	if !present {
		return Response{}, err
	}
	r := Response{Status: int(resultInt(0)), Body: result(2, 0)}
	err = json.Unmarshal(result(1, 0), &r.Headers)
	return r, err
}

// ServerPublish publishes to a channel in the server's name: no rule and no hook is asked.
func ServerPublish(channel string, message []byte, tags map[string]string) error {
	c, n := text(channel)
	m, size := data(message)
	t, tagsSize := data(object(tags))
	_, err := outcome(hostServerPublish(c, n, m, size, t, tagsSize))
	return err
}

// ServerUnsubscribe ends, soon after, the subscriptions of a user or of one client to a channel.
func ServerUnsubscribe(user, client, channel string) error {
	u, userSize := text(user)
	one, clientSize := text(client)
	c, n := text(channel)
	_, err := outcome(hostServerUnsubscribe(u, userSize, one, clientSize, c, n))
	return err
}

// ServerDisconnect ends, soon after, the sessions of a user or of one client. Code 0 is 3503, force no reconnect; the reason may be empty.
func ServerDisconnect(user, client string, code int, reason string) error {
	u, userSize := text(user)
	one, clientSize := text(client)
	r, n := text(reason)
	_, err := outcome(hostServerDisconnect(u, userSize, one, clientSize, int64(code), r, n))
	return err
}

// JWTVerify verifies a token with one of the plugin's keys, and reads its claims into a pointer, as json.Unmarshal does. The error of
// a token that is not good says why.
func JWTVerify(token, key string, claims any) error {
	t, size := text(token)
	k, n := text(key)
	status := hostJWTVerify(t, size, k, n)
	present, err := outcome(status)
	if !present {
		return err
	}
	return json.Unmarshal(result(0, status), claims)
}

// JWTSign makes a token of claims, a struct or a map, with one of the plugin's keys. Set exp yourself.
func JWTSign(claims any, key string) (token string, err error) {
	b, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	c, size := data(b)
	k, n := text(key)
	status := hostJWTSign(c, size, k, n)
	present, err := outcome(status)
	if !present {
		return "", err
	}
	return string(result(0, status)), nil
}

// PasswordHash makes what is to be stored instead of a password. It takes tens of milliseconds: give the plugin a longer deadline.
func PasswordHash(password string) (hash string, err error) {
	p, size := text(password)
	status := hostPasswordHash(p, size)
	present, err := outcome(status)
	if !present {
		return "", err
	}
	return string(result(0, status)), nil
}

// PasswordVerify says whether a password is the one that was hashed. It takes as long.
func PasswordVerify(password, hash string) (right bool, err error) {
	p, size := text(password)
	h, n := text(hash)
	present, err := outcome(hostPasswordVerify(p, size, h, n))
	if !present {
		return false, err
	}
	b := result(0, 1)
	return len(b) == 1 && b[0] == 1, nil
}

// MetricAdd adds to one of the plugin's counters in the server's metrics. Its name must not depend on what clients send.
func MetricAdd(name string, number int64) error {
	if number == 0 {
		return nil
	}
	p, n := text(name)
	_, err := outcome(hostMetricAdd(p, n, number))
	return err
}

// RandomBytes makes random bytes, 1024 at most, good enough for keys.
func RandomBytes(number int) ([]byte, error) {
	status := hostRandomBytes(int64(number))
	present, err := outcome(status)
	if !present {
		return nil, err
	}
	return result(0, status), nil
}
