/**
 * Admits clients that bring a token. It needs allow.jwt, and the key "main". The token's sub is the user, and its name is shown to
 * others. Everybody is subscribed to a channel of their own, and may read and write in rooms.
 */
import { Connect, Verdict, json, jwt, log, metric, reject } from "../zenconn";

export function on_connect(): Verdict {
  const ev = new Connect();
  const token = ev.token;
  if (token == "") return reject(101, "a token is needed");
  const verified = jwt.verify(token, "main");
  if (!verified.ok) {
    log.info("refused a token: " + verified.failure);
    metric.add("refused", 1);
    return reject(101, "the token is not good");
  }
  const claims = verified.text(0);
  const user = json.text(json.field(claims, "sub"));
  if (user == "") return reject(101, "the token does not say whose it is");
  ev.user = user;
  const expires = json.field(claims, "exp");
  ev.expire_at = expires == "" ? 0 : I64.parseInt(expires);
  const name = json.field(claims, "name");
  if (name != "") ev.info = '{"name":' + name + "}";
  ev.add_subscription('{"channel":' + json.quote("user:" + user) + "}");
  ev.add_grant('{"channels":["room:*"],"match":"wildcard","allow":["sub","pub"]}');
  return Verdict.Allow;
}
