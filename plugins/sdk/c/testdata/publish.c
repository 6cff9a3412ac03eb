/* The behaviours of the conformance suite that are about publications. The configuration says which. */
#include "zenconn.h"

static zc_text behaviour;

ZC_INIT { behaviour = zc_json_text(zc_json_field(zc_get(ZC_CONFIG), ZC("behaviour"))); }

static bool is(zc_text t, const char *literal, size_t size) { return zc_equal(t, (zc_text){literal, size - 1}); }
#define IS(t, literal) is(t, literal, sizeof literal)

static int32_t verdicts(zc_text data) {
  if (IS(data, "allow")) return ZC_ALLOW;
  if (IS(data, "deny")) return ZC_DENY;
  if (IS(data, "code")) return zc_reject(106, ZC_NONE);
  if (IS(data, "disconnect")) return zc_reject(3503, ZC_NONE);
  if (IS(data, "reason")) return zc_reject(0, ZC("because"));
  if (IS(data, "both")) return zc_reject(403, ZC("because"));
  if (IS(data, "drop")) return ZC_DROP;
  if (IS(data, "fault")) zc_fail(ZC("oops"));
  if (IS(data, "range")) return zc_reject(2500, ZC_NONE);
  return IS(data, "garbage") ? 7 : ZC_PASS;
}

static int32_t fields(zc_text data) {
  zc_text bar = ZC("|");
  zc_set(ZC_DATA, ZC_JOIN(zc_get(ZC_CHANNEL), bar, zc_get(ZC_CLIENT), bar, zc_get(ZC_USER), bar, zc_get(ZC_INFO), bar, zc_get(ZC_NAME), bar,
                          zc_get(ZC_VERSION), bar, zc_get(ZC_REMOTE_ADDR), bar, zc_get(ZC_TRANSPORT), bar, zc_get(ZC_PROTOCOL), bar,
                          zc_get(ZC_USER_AGENT), bar, zc_header(ZC("X-Test")), bar, zc_get(ZC_ID), bar, data, bar,
                          zc_json_text(zc_json_field(zc_get(ZC_TAGS), ZC("a")))));
  return ZC_PASS;
}

static int32_t rewrite(zc_text data) {
  zc_set(ZC_TAGS, ZC("{\"lang\":\"en\"}"));
  zc_set(ZC_DATA, ZC("written"));
  if (IS(data, "fault")) zc_fail(ZC("oops"));
  return IS(data, "allow") ? ZC_ALLOW : ZC_PASS;
}

static int32_t route(zc_text data) {
  if (IS(data, "redirect")) zc_set(ZC_REDIRECT, ZC("room:2"));
  if (IS(data, "expire")) zc_set_int(ZC_EXPIRE_AT, 1900000000);
  if (IS(data, "skip")) zc_set_bool(ZC_SKIP_HISTORY, true);
  if (IS(data, "exclude")) zc_set_bool(ZC_EXCLUDE_SENDER, true);
  if (IS(data, "include")) zc_set_bool(ZC_EXCLUDE_SENDER, false);
  return ZC_PASS;
}

static volatile int spun;

ZC_ON(publish) {
  zc_text data = zc_get(ZC_DATA);
  if (IS(behaviour, "verdicts")) return verdicts(data);
  if (IS(behaviour, "fields")) return fields(data);
  if (IS(behaviour, "rewrite")) return rewrite(data);
  if (IS(behaviour, "route")) return route(data);
  while (IS(data, "spin")) spun++;
  return ZC_ALLOW;
}
