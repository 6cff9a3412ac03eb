/* The plugin of the conformance suite of the functions of the server. */
#include "zenconn.h"

#define IS(t, literal) zc_equal(t, ZC(literal))

/* Arguments of a call, as JSON; beyond their end are empty ones. */
typedef struct { zc_text at[4]; } arguments;

static arguments read(zc_text list, zc_text *first) {
  arguments a = {{{0}}};
  zc_text item;
  if (first) zc_json_next(&list, first);
  for (int i = 0; i < 4 && zc_json_next(&list, &item); i++) a.at[i] = item;
  return a;
}

/* An argument as it is, unless it is null. */
static zc_text raw(zc_text t) { return IS(t, "null") ? ZC_NONE : t; }

/* Seconds, with decimals, in milliseconds. */
static int64_t milliseconds(zc_text t) {
  int64_t n = 0, digits = 3;
  bool point = false;
  if (zc_starts(t, ZC("-"))) return -1;
  if (IS(t, "1000000000000")) return 1000000000000000;
  for (size_t i = 0; i < t.length && digits > 0; i++) {
    if (t.at[i] == '.') point = true;
    else n = n * 10 + (t.at[i] - '0'), digits -= point;
  }
  while (digits-- > 0) n *= 10;
  return t.length == 0 ? 0 : n;
}

static zc_text hex(zc_text t) {
  char *at = zc_alloc(2 * t.length + 2), *to = at;
  *to++ = '"';
  for (size_t i = 0; i < t.length; i++) *to++ = "0123456789abcdef"[(t.at[i] >> 4) & 15], *to++ = "0123456789abcdef"[t.at[i] & 15];
  *to++ = '"';
  return (zc_text){at, 2 * t.length + 2};
}

/* What became of a call. types: of its results, t text, j json, i int, b bool. */
static zc_text outcome(int32_t status, const char *types) {
  if (status == ZC_FAILED) return ZC_JOIN(ZC("{\"failed\":"), zc_json_quote(zc_result(0)), ZC("}"));
  if (status == ZC_ABSENT) return ZC("{\"absent\":true}");
  zc_text all = ZC("{\"results\":[");
  for (int i = 0; types[i]; i++) {
    zc_text one = types[i] == 'i'   ? zc_decimal(zc_result_int(i))
                  : types[i] == 'b' ? (zc_result_bool(i) ? ZC("true") : ZC("false"))
                  : types[i] == 'j' ? zc_result(i)
                                    : hex(zc_result(i));
    all = ZC_JOIN(all, i ? ZC(",") : ZC_NONE, one);
  }
  return ZC_JOIN(all, ZC("]}"));
}

static zc_text call(zc_text name, arguments a) {
  zc_text s = zc_json_text(a.at[0]), second = zc_json_text(a.at[1]), third = zc_json_text(a.at[2]), fourth = zc_json_text(a.at[3]);
  if (IS(name, "kv_get")) return outcome(zc_kv_get(s), "ti");
  if (IS(name, "kv_set")) return outcome(zc_kv_set(s, second, milliseconds(a.at[2])), "i");
  if (IS(name, "kv_cas")) return outcome(zc_kv_cas(s, second, zc_json_int(a.at[2], 0), milliseconds(a.at[3])), "i");
  if (IS(name, "kv_delete")) return outcome(zc_kv_delete(s), "");
  if (IS(name, "http_request")) return outcome(zc_http_request(s, second, raw(a.at[2]), fourth), "ijt");
  if (IS(name, "server_publish")) return outcome(zc_server_publish(s, second, raw(a.at[2])), "");
  if (IS(name, "server_unsubscribe")) return outcome(zc_server_unsubscribe(s, second, third), "");
  if (IS(name, "server_disconnect")) return outcome(zc_server_disconnect(s, second, zc_json_int(a.at[2], 0), fourth), "");
  if (IS(name, "jwt_verify")) return outcome(zc_jwt_verify(s, second), "j");
  if (IS(name, "jwt_sign")) return outcome(zc_jwt_sign(raw(a.at[0]), second), "t");
  if (IS(name, "password_hash")) return outcome(zc_password_hash(s), "t");
  if (IS(name, "password_verify")) return outcome(zc_password_verify(s, second), "b");
  if (IS(name, "metric_add")) return outcome(zc_metric_add(s, zc_json_int(a.at[1], 0)), "");
  if (IS(name, "random_bytes")) return outcome(zc_random_bytes(zc_json_int(a.at[0], 0)), "t");
  zc_fail(ZC("there is no such function"));
}

static zc_text loaded;

ZC_INIT {
  if (IS(zc_json_field(zc_get(ZC_CONFIG), ZC("probe")), "true")) loaded = outcome(zc_kv_get(ZC("x")), "ti");
}

ZC_ON(rpc) {
  zc_text data = zc_get(ZC_DATA), method = zc_get(ZC_METHOD), reply = loaded;
  if (IS(method, "flood")) {
    zc_text name;
    arguments a = read(data, &name);
    for (char *begin = zc_next;; zc_next = begin) call(zc_json_text(name), a);
  }
  if (!IS(method, "loaded")) reply = call(method, read(data, NULL));
  zc_set(ZC_REPLY, reply);
  return ZC_ALLOW;
}

static zc_text refusal(void) { return zc_server_publish(ZC("room:1"), ZC("{}"), ZC_NONE), zc_result(0); }

ZC_ON(audit) {
  zc_set(ZC_REASON, refusal());
  return ZC_PASS;
}

ZC_ON(channel) { return zc_reject(0, refusal()); }
