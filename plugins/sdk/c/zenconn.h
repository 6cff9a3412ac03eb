/*
 * zenconn.h: ZenConn plugins in C, in one header, without a C library. See README.md.
 *
 *   #include "zenconn.h"
 *
 *   ZC_ON(publish) {
 *     if (zc_get(ZC_DATA).length > 1000) return zc_reject(106, ZC("too long"));
 *     return ZC_PASS;
 *   }
 *
 * Memory: what these functions return, and zc_alloc gives, is good until the hook returns, and then all of it is free again. What
 * ZC_INIT allocated stays. Several instances of a plugin run side by side, so variables must not remember anything between calls.
 * A mistake, such as writing a field that this event does not have, is a line in the server's log and the end of the call, as a fault.
 */
#ifndef ZENCONN_H
#define ZENCONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, which are not terminated. Without a value, at is NULL. */
typedef struct {
  const char *at;
  size_t length;
} zc_text;

/* ZC("literal") is a zc_text. */
#define ZC(literal) ((zc_text){("" literal), sizeof(literal) - 1})
#define ZC_NONE ((zc_text){NULL, 0})

#define ZC_IMPORT(name) __attribute__((import_module("hook_v1"), import_name(#name)))

/* The event and the log, as the server has them; the functions below are easier to use. */
ZC_IMPORT(get) int32_t zc_host_get(int32_t field, void *to, size_t size);
ZC_IMPORT(set) int32_t zc_host_set(int32_t field, const void *bytes, size_t length);
ZC_IMPORT(reject) void zc_host_reject(int32_t code, const void *reason, size_t length);
ZC_IMPORT(log) void zc_host_log(int32_t level, const void *line, size_t length);
ZC_IMPORT(result) int32_t zc_host_result(int32_t index, void *to, size_t size);
ZC_IMPORT(now_ms) int64_t zc_host_now_ms(void);

/* ZC_ON(publish) { … } defines the hook on_publish, which returns ZC_ALLOW, ZC_DENY, ZC_DROP or ZC_PASS. */
#define ZC_ON(hook)                                                   \
  static int32_t zc_body_##hook(void);                                \
  __attribute__((export_name("on_" #hook))) int32_t zc_on_##hook(void) { \
    zc_next = zc_kept;                                                \
    return zc_body_##hook();                                          \
  }                                                                   \
  static int32_t zc_body_##hook(void)

/* ZC_INIT { … } runs once in each instance, before the first call. It can read ZC_CONFIG and has no event. */
#define ZC_INIT                                                       \
  static void zc_body_init(void);                                     \
  __attribute__((export_name("_initialize"))) void zc_initialize(void) { \
    zc_body_init();                                                   \
    zc_kept = zc_next;                                                \
  }                                                                   \
  static void zc_body_init(void)

/* Lines in the server's log. */
static inline void zc_debug(zc_text line) { zc_host_log(0, line.at, line.length); }
static inline void zc_info(zc_text line) { zc_host_log(1, line.at, line.length); }
static inline void zc_warn(zc_text line) { zc_host_log(2, line.at, line.length); }
static inline void zc_error(zc_text line) { zc_host_log(3, line.at, line.length); }

/* Ends the call as a fault, with a line in the server's log. In ZC_INIT: the plugin is not loaded. */
__attribute__((noreturn)) static inline void zc_fail(zc_text why) {
  zc_error(why);
  __builtin_trap();
}

/* Memory: everything from the end of the plugin's data on, given out from one end and taken back at once. */
extern char __heap_base;
__attribute__((weak)) char *zc_kept = &__heap_base; /* Below is what ZC_INIT allocated. */
__attribute__((weak)) char *zc_next = &__heap_base; /* From here on it is free. */

static inline size_t zc_free(void) { return __builtin_wasm_memory_size(0) * 65536 - (size_t)zc_next; }

/* Makes sure that length bytes are free. */
static inline void zc_reserve(size_t length) {
  size_t have = zc_free();
  if (length <= have) return;
  size_t pages = (length - have) / 65536 + 1;
  if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) zc_fail(ZC("the plugin has no more memory (plugins.memory)"));
}

/* Gives length bytes, which are good for any type and not zero. There is no need to give them back. */
static inline void *zc_alloc(size_t length) {
  zc_next = (char *)(((size_t)zc_next + 7) & ~(size_t)7);
  zc_reserve(length);
  char *at = zc_next;
  zc_next += length;
  return at;
}

static inline void zc_copy(char *to, zc_text t) {
  for (size_t i = 0; i < t.length; i++) to[i] = t.at[i];
}

static inline bool zc_equal(zc_text a, zc_text b) {
  if (a.length != b.length) return false;
  for (size_t i = 0; i < a.length; i++)
    if (a.at[i] != b.at[i]) return false;
  return true;
}

static inline bool zc_starts(zc_text t, zc_text with) {
  return t.length >= with.length && zc_equal((zc_text){t.at, with.length}, with);
}

/* ZC_JOIN(a, ZC(" and "), b) is all of them as one text. */
#define ZC_JOIN(...) zc_join((zc_text[]){__VA_ARGS__}, sizeof((zc_text[]){__VA_ARGS__}) / sizeof(zc_text))

static inline zc_text zc_join(const zc_text *parts, size_t count) {
  size_t length = 0;
  for (size_t i = 0; i < count; i++) length += parts[i].length;
  char *at = zc_alloc(length), *to = at;
  for (size_t i = 0; i < count; to += parts[i++].length) zc_copy(to, parts[i]);
  return (zc_text){at, length};
}

/* A number in decimal digits. */
static inline zc_text zc_decimal(int64_t n) {
  char *end = (char *)zc_alloc(20) + 20, *at = end;
  uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
  do *--at = (char)('0' + rest % 10);
  while (rest /= 10);
  if (n < 0) *--at = '-';
  return (zc_text){at, (size_t)(end - at)};
}

/* generated from hooks/host: change it there, then run go generate ./hooks/host */

/* The verdicts. */
enum {
  ZC_ALLOW = 0, /* Yes; the next plugin is asked. */
  ZC_DENY = 1, /* No; nobody else is asked. */
  ZC_DROP = 2, /* In on_publish: acknowledge, and deliver to nobody. In on_audit: do not store. */
  ZC_PASS = 3, /* No opinion; the next plugin is asked. */
};

/* The fields. */
enum {
  ZC_CLIENT = 1, /* text: The session's identifier. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r). */
  ZC_USER = 2, /* text: Who it is; empty when anonymous. refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r); connect, audit (rw). */
  ZC_INFO = 3, /* json: What others see about the connection; written in subscribe, what they see in this channel. publish, rpc, send, unsubscribe, disconnect (r); connect, refresh, subscribe (rw). */
  ZC_NAME = 4, /* text: What the client calls itself. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r). */
  ZC_VERSION = 5, /* text: The version it says it has. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r). */
  ZC_REMOTE_ADDR = 6, /* text: Its IP address. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r); audit (rw). */
  ZC_TRANSPORT = 7, /* text: How it is connected: websocket. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r). */
  ZC_PROTOCOL = 8, /* text: What it speaks: json or protobuf. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r). */
  ZC_USER_AGENT = 9, /* text: The browser's or library's name. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (r). */
  ZC_HEADER = 10, /* text: A header of the handshake request: write its name, then read its value, which is empty when there is none. connect, refresh, subscribe, publish, rpc, send, unsubscribe, disconnect (rw). */
  ZC_CONFIG = 11, /* json: The plugin's configuration, an object. It can be read at any time, in _initialize too. everywhere (r). */
  ZC_CHANNEL = 12, /* text: The channel; absent when a session is refreshed. refresh, subscribe, channel, publish, unsubscribe, audit (r). */
  ZC_DATA = 13, /* bytes: What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out. rpc, send (r); connect, subscribe, publish (rw). */
  ZC_TOKEN = 14, /* text: The token the client brought; empty when it has none. connect, refresh (r). */
  ZC_EXPIRE_AT = 15, /* int: Seconds since 1970; 0 is never. In publish: when the history stops showing the publication. connect, refresh, subscribe, publish (rw). */
  ZC_PRESENCE = 16, /* flag: Whether presence is kept; absent, which only subscribe knows: as the channel's options say. subscribe, channel (rw). */
  ZC_JOIN_LEAVE = 17, /* flag: Whether others are told of comings and goings; absent: the same. subscribe, channel (rw). */
  ZC_RECOVERY = 18, /* flag: Whether missed publications can be recovered; absent: the same. subscribe, channel (rw). */
  ZC_ID = 19, /* text: The message's identifier, as in the audit. publish (r). */
  ZC_TAGS = 20, /* json: Its tags, an object of strings. Written as a whole. publish, audit (rw). */
  ZC_REDIRECT = 21, /* text: The channel it goes to instead; absent when it stays. publish (rw). */
  ZC_SKIP_HISTORY = 22, /* bool: Deliver it, but do not keep it. publish (rw). */
  ZC_EXCLUDE_SENDER = 23, /* flag: Whether the publisher gets no copy; absent in publish: as the channel's options say. channel, publish (rw). */
  ZC_METHOD = 24, /* text: The method that is called. rpc (r). */
  ZC_REPLY = 25, /* bytes: The answer to the call, JSON for clients that speak it; absent until it is written. rpc (rw). */
  ZC_SUBSCRIPTION = 26, /* json: Each write subscribes the client to one channel: {"channel": "news"}, and optionally info, data, expire_at, presence, join_leave, recovery. connect (w). */
  ZC_GRANT = 27, /* json: Each write gives rights: {"channels": ["room:*"], "match": "wildcard", "allow": ["sub", "pub"]}. In subscribe they are for this channel: {"allow": ["pub"]}. connect, subscribe (w). */
  ZC_NAMESPACE = 28, /* text: The channel's namespace. channel (r). */
  ZC_SUBSCRIBE = 29, /* text: Who may subscribe: nobody, granted, user or anyone. channel (rw). */
  ZC_PUBLISH = 30, /* text: Who may publish: the same. channel (rw). */
  ZC_HISTORY_SIZE = 31, /* int: How many publications are kept; 0: none. channel (rw). */
  ZC_HISTORY_TTL = 32, /* int: For how many milliseconds they are kept. channel (rw). */
  ZC_SLOW_CONSUMER = 33, /* text: What happens to slow clients: disconnect, drop_oldest or conflate. channel (rw). */
  ZC_CODE = 34, /* int: Why, as a number. In unsubscribe 0: the client asked for it, 1: the session ended. unsubscribe, disconnect (r). */
  ZC_REASON = 35, /* text: Why, as a sentence. unsubscribe, disconnect (r); audit (rw). */
  ZC_KIND = 36, /* text: What is about to be stored: message, session, decision or action. audit (r). */
  ZC_HOOK = 37, /* text: The hook of a decision. audit (r). */
  ZC_ACTION = 38, /* text: What was done, of an action. audit (r). */
  ZC_PAYLOAD = 39, /* bytes: The data of a message, or the request of an action; absent when it is not kept. audit (rw). */
};

/* What functions of the server return; otherwise it is 0 or more, and the results are there. */
enum { ZC_ABSENT = -1, ZC_FAILED = -2 };

ZC_IMPORT(kv_get) int32_t zc_host_kv_get(const void *key, size_t key_length);

/* Reads a value that this plugin has stored, here or on another node. It needs allow.kv.
   key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
   Result 0: value (bytes). At most 64 KiB.
   Result 1: revision (int).
   ZC_ABSENT: the key has no value. */
static inline int32_t zc_kv_get(zc_text key) {
  return zc_host_kv_get(key.at, key.length);
}

ZC_IMPORT(kv_set) int32_t zc_host_kv_set(const void *key, size_t key_length, const void *value, size_t value_length, int64_t ttl_ms);

/* Stores a value, whatever was there before. It needs allow.kv.
   key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
   value: At most 64 KiB.
   ttl: May be empty or 0. Milliseconds. How long it is kept; 0: for ever.
   Result 0: revision (int). */
static inline int32_t zc_kv_set(zc_text key, zc_text value, int64_t ttl_ms) {
  return zc_host_kv_set(key.at, key.length, value.at, value.length, ttl_ms);
}

ZC_IMPORT(kv_cas) int32_t zc_host_kv_cas(const void *key, size_t key_length, const void *value, size_t value_length, int64_t revision, int64_t ttl_ms);

/* Stores a value if nobody else has since the revision was read (compare and swap). It needs allow.kv.
   key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
   value: At most 64 KiB.
   revision: 0: the key must have no value.
   ttl: May be empty or 0. Milliseconds. How long it is kept; 0: for ever.
   Result 0: revision (int).
   ZC_ABSENT: the key's revision is another one by now: read it, and try again. */
static inline int32_t zc_kv_cas(zc_text key, zc_text value, int64_t revision, int64_t ttl_ms) {
  return zc_host_kv_cas(key.at, key.length, value.at, value.length, revision, ttl_ms);
}

ZC_IMPORT(kv_delete) int32_t zc_host_kv_delete(const void *key, size_t key_length);

/* Removes a value, if there is one. It needs allow.kv.
   key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own. */
static inline int32_t zc_kv_delete(zc_text key) {
  return zc_host_kv_delete(key.at, key.length);
}

ZC_IMPORT(http_request) int32_t zc_host_http_request(const void *method, size_t method_length, const void *url, size_t url_length, const void *headers, size_t headers_length, const void *body, size_t body_length);

/* Asks a web server, and waits for the answer, whatever its status is. It needs allow.http.
   method: GET, POST and so on.
   url: Its host must be in allow.http.
   headers: May be empty or 0. An object of texts.
   body: May be empty or 0.
   Result 0: status (int).
   Result 1: headers (json). An object of texts; the names are in lower case.
   Result 2: body (bytes). */
static inline int32_t zc_http_request(zc_text method, zc_text url, zc_text headers, zc_text body) {
  return zc_host_http_request(method.at, method.length, url.at, url.length, headers.at, headers.length, body.at, body.length);
}

ZC_IMPORT(server_publish) int32_t zc_host_server_publish(const void *channel, size_t channel_length, const void *data, size_t data_length, const void *tags, size_t tags_length);

/* Publishes to a channel in the server's name: no rule and no hook is asked. When it returns, the publication is on its way and in the history. It needs allow.publish.
   data: JSON, unless the channel's content is binary.
   tags: May be empty or 0. An object of texts. */
static inline int32_t zc_server_publish(zc_text channel, zc_text data, zc_text tags) {
  return zc_host_server_publish(channel.at, channel.length, data.at, data.length, tags.at, tags.length);
}

ZC_IMPORT(server_unsubscribe) int32_t zc_host_server_unsubscribe(const void *user, size_t user_length, const void *client, size_t client_length, const void *channel, size_t channel_length);

/* Ends subscriptions to a channel. It is carried out soon after: who is not there is no error. It needs allow.unsubscribe.
   user: May be empty or 0. All sessions of this user,
   client: May be empty or 0. or this session; one of both must be there. */
static inline int32_t zc_server_unsubscribe(zc_text user, zc_text client, zc_text channel) {
  return zc_host_server_unsubscribe(user.at, user.length, client.at, client.length, channel.at, channel.length);
}

ZC_IMPORT(server_disconnect) int32_t zc_host_server_disconnect(const void *user, size_t user_length, const void *client, size_t client_length, int64_t code, const void *reason, size_t reason_length);

/* Ends sessions. It is carried out soon after: who is not there is no error. It needs allow.disconnect.
   user: May be empty or 0. All sessions of this user,
   client: May be empty or 0. or this session; one of both must be there.
   code: May be empty or 0. 3000 to 4999; 0: 3503, force no reconnect.
   reason: May be empty or 0. For the client. */
static inline int32_t zc_server_disconnect(zc_text user, zc_text client, int64_t code, zc_text reason) {
  return zc_host_server_disconnect(user.at, user.length, client.at, client.length, code, reason.at, reason.length);
}

ZC_IMPORT(jwt_verify) int32_t zc_host_jwt_verify(const void *token, size_t token_length, const void *key, size_t key_length);

/* Verifies a token's signature, and exp, nbf and iat if it has them. Of a token that is not good, the failure says why. It needs allow.jwt.
   key: One of the plugin's keys in the configuration; it fixes the algorithm.
   Result 0: claims (json). */
static inline int32_t zc_jwt_verify(zc_text token, zc_text key) {
  return zc_host_jwt_verify(token.at, token.length, key.at, key.length);
}

ZC_IMPORT(jwt_sign) int32_t zc_host_jwt_sign(const void *claims, size_t claims_length, const void *key, size_t key_length);

/* Signs claims, which it leaves as they are: set exp yourself. It needs allow.jwt.
   claims: An object.
   key: One of the plugin's keys in the configuration; it fixes the algorithm.
   Result 0: token (text). */
static inline int32_t zc_jwt_sign(zc_text claims, zc_text key) {
  return zc_host_jwt_sign(claims.at, claims.length, key.at, key.length);
}

ZC_IMPORT(password_hash) int32_t zc_host_password_hash(const void *password, size_t password_length);

/* Makes a salted hash to be stored instead of a password (argon2id). It takes tens of milliseconds: give the plugin a longer deadline. It needs allow.password.
   password: At most 1024 bytes.
   Result 0: hash (text). A text such as $argon2id$v=19$m=19456,t=2,p=1$…$… */
static inline int32_t zc_password_hash(zc_text password) {
  return zc_host_password_hash(password.at, password.length);
}

ZC_IMPORT(password_verify) int32_t zc_host_password_verify(const void *password, size_t password_length, const void *hash, size_t hash_length);

/* Says whether a password is the one that was hashed. It takes as long. It needs allow.password.
   password: At most 1024 bytes.
   hash: A text such as $argon2id$v=19$m=19456,t=2,p=1$…$…
   Result 0: right (bool). */
static inline int32_t zc_password_verify(zc_text password, zc_text hash) {
  return zc_host_password_verify(password.at, password.length, hash.at, hash.length);
}

ZC_IMPORT(metric_add) int32_t zc_host_metric_add(const void *name, size_t name_length, int64_t number);

/* Adds to a counter, which is zenconn_plugin_metric_total with the plugin and this name as labels.
   name: Lower-case letters, digits and _; a plugin has at most 100 of them.
   number: May be empty or 0. Not negative; 0: 1. */
static inline int32_t zc_metric_add(zc_text name, int64_t number) {
  return zc_host_metric_add(name.at, name.length, number);
}

ZC_IMPORT(random_bytes) int32_t zc_host_random_bytes(int64_t number);

/* Makes random bytes, good enough for keys.
   number: At most 1024.
   Result 0: bytes (bytes). */
static inline int32_t zc_random_bytes(int64_t number) {
  return zc_host_random_bytes(number);
}

/* end of what is generated */

/* A field of the event. Without a value the text is empty, and its at is NULL. */
static inline zc_text zc_get(int32_t field) {
  for (;;) {
    size_t size = zc_free();
    char *at = zc_next;
    int32_t length = zc_host_get(field, at, size);
    if (length == -1) return ZC_NONE;
    if (length < 0) zc_fail(ZC_JOIN(ZC("this event has no field "), zc_decimal(field)));
    if ((size_t)length <= size) {
      zc_next += length;
      return (zc_text){at, (size_t)length};
    }
    zc_reserve((size_t)length);
  }
}

/* A field of type int; 0 without a value. */
static inline int64_t zc_get_int(int32_t field) {
  int64_t n = 0;
  if (zc_host_get(field, &n, sizeof n) == -2) zc_fail(ZC_JOIN(ZC("this event has no field "), zc_decimal(field)));
  return n;
}

/* A field of type bool or flag: 1, 0, or -1 without a value. */
static inline int zc_get_flag(int32_t field) {
  uint8_t b = 0;
  int32_t length = zc_host_get(field, &b, 1);
  if (length == -2) zc_fail(ZC_JOIN(ZC("this event has no field "), zc_decimal(field)));
  return length == -1 ? -1 : b;
}

/* A header of the client's handshake request; empty when there is none. */
static inline zc_text zc_header(zc_text name) {
  zc_host_set(ZC_HEADER, name.at, name.length);
  return zc_get(ZC_HEADER);
}

static inline void zc_set(int32_t field, zc_text value) {
  int32_t status = zc_host_set(field, value.at, value.length);
  if (status == -2) zc_fail(ZC_JOIN(ZC("this event has no field that can be written with the number "), zc_decimal(field)));
  if (status != 0) zc_fail(ZC_JOIN(ZC("this is no value for the field "), zc_decimal(field)));
}

static inline void zc_set_int(int32_t field, int64_t n) { zc_set(field, (zc_text){(const char *)&n, sizeof n}); }

static inline void zc_set_bool(int32_t field, bool b) {
  uint8_t byte = b;
  zc_set(field, (zc_text){(const char *)&byte, 1});
}

/* Denies with a code, 0 for the usual one, and a sentence for the client, which may be empty: return zc_reject(403, ZC("why")); */
static inline int32_t zc_reject(int32_t code, zc_text reason) {
  zc_host_reject(code, reason.at, reason.length);
  return ZC_DENY;
}

/* A result of the last function of the server that was called; why it failed, if it returned ZC_FAILED. */
static inline zc_text zc_result(int32_t index) {
  for (;;) {
    size_t size = zc_free();
    char *at = zc_next;
    int32_t length = zc_host_result(index, at, size);
    if (length < 0) return ZC_NONE;
    if ((size_t)length <= size) {
      zc_next += length;
      return (zc_text){at, (size_t)length};
    }
    zc_reserve((size_t)length);
  }
}

static inline int64_t zc_result_int(int32_t index) {
  int64_t n = 0;
  zc_host_result(index, &n, sizeof n);
  return n;
}

static inline bool zc_result_bool(int32_t index) {
  uint8_t b = 0;
  zc_host_result(index, &b, 1);
  return b == 1;
}

/* The server's time in milliseconds since 1970. */
static inline int64_t zc_now_ms(void) { return zc_host_now_ms(); }

/* JSON: values are read where they stand. What is not JSON has no fields and no elements. */

static inline const char *zc_json_space(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
  return p;
}

/* Where the value that begins at p ends; NULL if there is none. */
static inline const char *zc_json_end(const char *p, const char *end) {
  size_t depth = 0;
  do {
    p = zc_json_space(p, end);
    if (p == end) return NULL;
    const char *begin = p;
    switch (*p) {
      case '"':
        for (p++; p < end && *p != '"'; p++)
          if (*p == '\\') p++;
        if (p >= end) return NULL;
        p++;
        break;
      case '{': case '[': depth++, p++; break;
      case '}': case ']':
        if (depth == 0) return NULL;
        depth--, p++;
        break;
      case ',': case ':':
        if (depth == 0) return NULL;
        p++;
        break;
      default:
        while (p < end && *p != ',' && *p != ':' && *p != '}' && *p != ']' && *p != '"' && *p > ' ') p++;
        if (p == begin) return NULL;
    }
  } while (depth > 0);
  return p;
}

/* The value of a field of an object, as JSON: zc_json_text and zc_json_int read it. The name must be written without escapes. */
static inline zc_text zc_json_field(zc_text object, zc_text name) {
  const char *end = object.at + object.length, *p = zc_json_space(object.at, end);
  if (p == end || *p != '{') return ZC_NONE;
  do {
    const char *key = zc_json_space(p + 1, end), *after = zc_json_end(key, end);
    if (!after || *key != '"') return ZC_NONE;
    p = zc_json_space(after, end);
    if (p == end || *p != ':') return ZC_NONE;
    const char *value = zc_json_space(p + 1, end);
    if (!(p = zc_json_end(value, end))) return ZC_NONE;
    if (zc_equal((zc_text){key + 1, (size_t)(after - key) - 2}, name)) return (zc_text){value, (size_t)(p - value)};
    p = zc_json_space(p, end);
  } while (p < end && *p == ',');
  return ZC_NONE;
}

/* The elements of an array, one after the other: zc_text rest = array, item; while (zc_json_next(&rest, &item)) … */
static inline bool zc_json_next(zc_text *rest, zc_text *item) {
  const char *end = rest->at + rest->length, *p = zc_json_space(rest->at, end);
  if (p == end || (*p != '[' && *p != ',')) return false;
  p = zc_json_space(p + 1, end);
  const char *after = zc_json_end(p, end);
  if (!after) return false;
  *item = (zc_text){p, (size_t)(after - p)};
  *rest = (zc_text){after, (size_t)(end - after)};
  return true;
}

static inline uint32_t zc_json_hex(const char *p, const char *end) {
  uint32_t n = 0;
  for (int i = 0; i < 4; i++, p++) {
    if (p >= end) return 0xfffd;
    char c = *p;
    n = n << 4 | (uint32_t)(c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 0);
  }
  return n;
}

static inline char *zc_utf8(char *to, uint32_t c) {
  if (c < 0x80) return *to++ = (char)c, to;
  if (c < 0x800) return *to++ = (char)(0xc0 | c >> 6), *to++ = (char)(0x80 | (c & 63)), to;
  if (c < 0x10000) *to++ = (char)(0xe0 | c >> 12);
  else *to++ = (char)(0xf0 | c >> 18), *to++ = (char)(0x80 | (c >> 12 & 63));
  return *to++ = (char)(0x80 | (c >> 6 & 63)), *to++ = (char)(0x80 | (c & 63)), to;
}

/* What a JSON string says; empty, with at NULL, if the value is none. */
static inline zc_text zc_json_text(zc_text value) {
  if (value.length < 2 || *value.at != '"') return ZC_NONE;
  const char *p = value.at + 1, *end = value.at + value.length - 1;
  size_t plain = 0;
  while (p + plain < end && p[plain] != '\\') plain++;
  if (p + plain == end) return (zc_text){p, plain};
  char *at = zc_alloc(value.length), *to = at; /* An escape is longer than what it stands for. */
  for (; p < end; p++) {
    if (*p != '\\' || ++p == end) {
      if (p < end) *to++ = *p;
      continue;
    }
    switch (*p) {
      case 'b': *to++ = '\b'; break;
      case 'f': *to++ = '\f'; break;
      case 'n': *to++ = '\n'; break;
      case 'r': *to++ = '\r'; break;
      case 't': *to++ = '\t'; break;
      case 'u': {
        uint32_t c = zc_json_hex(p + 1, end);
        p = end - p > 4 ? p + 4 : end - 1;
        if (c >= 0xd800 && c < 0xdc00 && end - p > 6 && p[1] == '\\' && p[2] == 'u') {
          uint32_t low = zc_json_hex(p + 3, end);
          if (low >= 0xdc00 && low < 0xe000) c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), p += 6;
        }
        to = zc_utf8(to, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
        break;
      }
      default: *to++ = *p;
    }
  }
  return (zc_text){at, (size_t)(to - at)};
}

/* A whole number; otherwise if the value is none. */
static inline int64_t zc_json_int(zc_text value, int64_t otherwise) {
  size_t i = value.length > 0 && *value.at == '-';
  uint64_t n = 0;
  if (i == value.length) return otherwise;
  for (; i < value.length; i++) {
    if (value.at[i] < '0' || value.at[i] > '9') return otherwise;
    n = n * 10 + (uint64_t)(value.at[i] - '0');
  }
  return *value.at == '-' ? (int64_t)(0 - n) : (int64_t)n;
}

/* A text as a JSON string, with its quotation marks. */
static inline zc_text zc_json_quote(zc_text t) {
  static const char hex[] = "0123456789abcdef";
  char *at = zc_alloc(6 * t.length + 2), *to = at;
  *to++ = '"';
  for (size_t i = 0; i < t.length; i++) {
    unsigned char c = (unsigned char)t.at[i];
    if (c == '"' || c == '\\') *to++ = '\\', *to++ = (char)c;
    else if (c >= ' ') *to++ = (char)c;
    else *to++ = '\\', *to++ = 'u', *to++ = '0', *to++ = '0', *to++ = hex[c >> 4], *to++ = hex[c & 15];
  }
  *to++ = '"';
  zc_next = to;
  return (zc_text){at, (size_t)(to - at)};
}

#endif
