/* The behaviours of the conformance suite that are about everything else: each has a hook of its own. */
#include "zenconn.h"

static bool is(zc_text t, const char *literal, size_t size) { return zc_equal(t, (zc_text){literal, size - 1}); }
#define IS(field, literal) is(zc_get(field), literal, sizeof literal)

ZC_ON(connect) {
  zc_set(ZC_USER, ZC_JOIN(ZC("u:"), zc_get(ZC_TOKEN)));
  zc_set(ZC_INFO, ZC("{\"vip\":true}"));
  zc_set_int(ZC_EXPIRE_AT, 1900000000);
  zc_set(ZC_DATA, ZC("{\"hello\":1}"));
  zc_set(ZC_SUBSCRIPTION, ZC("{\"channel\":\"news\"}"));
  zc_set(ZC_GRANT, ZC("{\"channels\":[\"room:*\"],\"match\":\"wildcard\",\"allow\":[\"sub\",\"pub\"]}"));
  if (IS(ZC_TOKEN, "badjson")) zc_set(ZC_INFO, ZC("{"));
  return ZC_ALLOW;
}

ZC_ON(subscribe) {
  zc_set(ZC_INFO, ZC("{\"seat\":1}"));
  zc_set(ZC_DATA, ZC_JOIN(ZC("{\"welcome\":"), zc_json_quote(zc_get(ZC_CHANNEL)), ZC("}")));
  zc_set_int(ZC_EXPIRE_AT, 1900000000);
  zc_set_bool(ZC_PRESENCE, true);
  zc_set_bool(ZC_JOIN_LEAVE, false);
  zc_set(ZC_GRANT, ZC("{\"allow\":[\"pub\"]}"));
  if (zc_get_flag(ZC_RECOVERY) != -1 || zc_get_flag(ZC_PRESENCE) != 1 || zc_get_flag(ZC_JOIN_LEAVE) != 0) zc_fail(ZC("other flags"));
  return ZC_ALLOW;
}

ZC_ON(rpc) {
  if (IS(ZC_METHOD, "echo")) return zc_set(ZC_REPLY, zc_get(ZC_DATA)), ZC_ALLOW;
  if (IS(ZC_METHOD, "bad")) return zc_set(ZC_REPLY, ZC("not json")), ZC_ALLOW;
  if (IS(ZC_METHOD, "refuse")) return zc_reject(404, ZC("no such thing"));
  return IS(ZC_METHOD, "empty") ? ZC_ALLOW : ZC_PASS;
}

ZC_ON(refresh) {
  if (IS(ZC_TOKEN, "no")) return zc_reject(3500, ZC_NONE);
  if (IS(ZC_TOKEN, "pass")) return ZC_PASS;
  zc_set_int(ZC_EXPIRE_AT, zc_get_int(ZC_EXPIRE_AT) + 100);
  zc_text at = zc_get(ZC_CHANNEL);
  zc_set(ZC_INFO, ZC_JOIN(ZC("{\"at\":"), zc_json_quote(at.at ? at : ZC("session")), ZC("}")));
  if (IS(ZC_TOKEN, "bad")) zc_set(ZC_INFO, ZC("{"));
  return ZC_ALLOW;
}

ZC_ON(channel) {
  if (IS(ZC_CHANNEL, "room:secret")) return ZC_DENY;
  if (IS(ZC_NAMESPACE, "other")) return ZC_PASS;
  zc_set_int(ZC_HISTORY_SIZE, 50);
  if (IS(ZC_CHANNEL, "room:forever")) return ZC_PASS;
  zc_set(ZC_SUBSCRIBE, IS(ZC_CHANNEL, "room:bad") ? ZC("everyone") : ZC("granted"));
  zc_set(ZC_PUBLISH, ZC("anyone"));
  zc_set_bool(ZC_PRESENCE, true);
  zc_set_bool(ZC_JOIN_LEAVE, true);
  zc_set_bool(ZC_RECOVERY, true);
  zc_set_bool(ZC_EXCLUDE_SENDER, true);
  zc_set_int(ZC_HISTORY_TTL, 90000);
  zc_set(ZC_SLOW_CONSUMER, ZC("disconnect"));
  return ZC_PASS;
}

ZC_ON(send) {
  if (IS(ZC_DATA, "no")) return zc_reject(3503, ZC_NONE);
  return IS(ZC_DATA, "ok") ? ZC_ALLOW : ZC_PASS;
}

static int32_t told(void) {
  if (zc_get_int(ZC_CODE) != 2500 || !IS(ZC_REASON, "insufficient state") || !IS(ZC_USER, "alice")) zc_fail(ZC("told something else"));
  return ZC_DENY;
}

ZC_ON(unsubscribe) {
  if (!IS(ZC_CHANNEL, "room:1")) zc_fail(ZC("another channel"));
  return told();
}

ZC_ON(disconnect) { return told(); }

ZC_ON(audit) {
  if (IS(ZC_KIND, "session")) return ZC_DROP;
  if (IS(ZC_HOOK, "publish")) return ZC_DENY;
  if (IS(ZC_ACTION, "start")) zc_fail(ZC("oops"));
  if (!IS(ZC_KIND, "message") || !IS(ZC_CHANNEL, "room:1") || !IS(ZC_HOOK, "") || !IS(ZC_ACTION, "")) {
    zc_set(ZC_REMOTE_ADDR, ZC("nowhere"));
    return ZC_PASS;
  }
  zc_set(ZC_PAYLOAD, ZC("gone"));
  zc_set(ZC_USER, ZC("someone"));
  zc_set(ZC_TAGS, ZC("{\"a\":\"x\"}"));
  zc_set(ZC_REMOTE_ADDR, ZC("192.0.2.0"));
  zc_set(ZC_REASON, ZC("why"));
  return ZC_PASS;
}
