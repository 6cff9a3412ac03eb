// Code generated from hooks/host; DO NOT EDIT.

//go:build wasip1

package hook

import "unsafe"

//go:wasmimport hook_v1 kv_get
func hostKVGet(key unsafe.Pointer, keySize int32) int32

//go:wasmimport hook_v1 kv_set
func hostKVSet(key unsafe.Pointer, keySize int32, value unsafe.Pointer, valueSize int32, ttl int64) int32

//go:wasmimport hook_v1 kv_cas
func hostKVCas(key unsafe.Pointer, keySize int32, value unsafe.Pointer, valueSize int32, revision int64, ttl int64) int32

//go:wasmimport hook_v1 kv_delete
func hostKVDelete(key unsafe.Pointer, keySize int32) int32

//go:wasmimport hook_v1 http_request
func hostHTTPRequest(method unsafe.Pointer, methodSize int32, url unsafe.Pointer, urlSize int32, headers unsafe.Pointer, headersSize int32, body unsafe.Pointer, bodySize int32) int32

//go:wasmimport hook_v1 server_publish
func hostServerPublish(channel unsafe.Pointer, channelSize int32, data unsafe.Pointer, dataSize int32, tags unsafe.Pointer, tagsSize int32) int32

//go:wasmimport hook_v1 server_unsubscribe
func hostServerUnsubscribe(user unsafe.Pointer, userSize int32, client unsafe.Pointer, clientSize int32, channel unsafe.Pointer, channelSize int32) int32

//go:wasmimport hook_v1 server_disconnect
func hostServerDisconnect(user unsafe.Pointer, userSize int32, client unsafe.Pointer, clientSize int32, code int64, reason unsafe.Pointer, reasonSize int32) int32

//go:wasmimport hook_v1 jwt_verify
func hostJWTVerify(token unsafe.Pointer, tokenSize int32, key unsafe.Pointer, keySize int32) int32

//go:wasmimport hook_v1 jwt_sign
func hostJWTSign(claims unsafe.Pointer, claimsSize int32, key unsafe.Pointer, keySize int32) int32

//go:wasmimport hook_v1 password_hash
func hostPasswordHash(password unsafe.Pointer, passwordSize int32) int32

//go:wasmimport hook_v1 password_verify
func hostPasswordVerify(password unsafe.Pointer, passwordSize int32, hash unsafe.Pointer, hashSize int32) int32

//go:wasmimport hook_v1 metric_add
func hostMetricAdd(name unsafe.Pointer, nameSize int32, number int64) int32

//go:wasmimport hook_v1 random_bytes
func hostRandomBytes(number int64) int32
