/* Admits clients that bring a token. It needs allow.jwt, and the key "main". The token's sub is the user, and its name is shown to
 * others. Everybody is subscribed to a channel of their own, and may read and write in rooms. */
#include "zenconn.h"

ZC_ON(connect) {
  zc_text token = zc_get(ZC_TOKEN);
  if (token.length == 0) return zc_reject(101, ZC("a token is needed"));
  if (zc_jwt_verify(token, ZC("main")) == ZC_FAILED) {
    zc_info(ZC_JOIN(ZC("refused a token: "), zc_result(0)));
    zc_metric_add(ZC("refused"), 1);
    return zc_reject(101, ZC("the token is not good"));
  }
  zc_text claims = zc_result(0), user = zc_json_text(zc_json_field(claims, ZC("sub")));
  if (user.length == 0) return zc_reject(101, ZC("the token does not say whose it is"));
  zc_set(ZC_USER, user);
  zc_set_int(ZC_EXPIRE_AT, zc_json_int(zc_json_field(claims, ZC("exp")), 0));
  zc_text name = zc_json_field(claims, ZC("name"));
  if (name.length > 0) zc_set(ZC_INFO, ZC_JOIN(ZC("{\"name\":"), name, ZC("}")));
  zc_set(ZC_SUBSCRIPTION, ZC_JOIN(ZC("{\"channel\":"), zc_json_quote(ZC_JOIN(ZC("user:"), user)), ZC("}")));
  zc_set(ZC_GRANT, ZC("{\"channels\":[\"room:*\"],\"match\":\"wildcard\",\"allow\":[\"sub\",\"pub\"]}"));
  return ZC_ALLOW;
}
