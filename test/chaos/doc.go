// Package chaos kills and cuts off processes of a running installation under load, and checks that no client misses or sees
// twice what was acknowledged to another.
//
// Its clients speak the client protocol and recover as the public SDKs do (test/sdk has the SDK itself); a thousand of them fit into
// one small machine beside the server.
package chaos
