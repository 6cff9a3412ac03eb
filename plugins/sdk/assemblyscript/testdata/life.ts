/** The behaviours of the conformance suite that are about everything else: each has a hook of its own. */
import { Audit, Channel, Connect, Disconnect, Refresh, Rpc, Send, Subscribe, Unsubscribe, Verdict, json, reject } from "../zenconn";

export function on_connect(): Verdict {
  const ev = new Connect();
  ev.user = "u:" + ev.token;
  ev.info = '{"vip":true}';
  ev.expire_at = 1900000000;
  ev.data = '{"hello":1}';
  ev.add_subscription('{"channel":"news"}');
  ev.add_grant('{"channels":["room:*"],"match":"wildcard","allow":["sub","pub"]}');
  if (ev.token == "badjson") ev.info = "{";
  return Verdict.Allow;
}

export function on_subscribe(): Verdict {
  const ev = new Subscribe();
  ev.info = '{"seat":1}';
  ev.data = '{"welcome":' + json.quote(ev.channel) + "}";
  ev.expire_at = 1900000000;
  ev.presence = true;
  ev.join_leave = false;
  ev.add_grant('{"allow":["pub"]}');
  assert(ev.presence && ev.has_join_leave && !ev.join_leave && !ev.has_recovery, "other flags");
  return Verdict.Allow;
}

export function on_rpc(): Verdict {
  const ev = new Rpc();
  const method = ev.method;
  if (method == "echo") ev.reply = ev.data;
  else if (method == "bad") ev.reply = "not json";
  else if (method == "refuse") return reject(404, "no such thing");
  else if (method != "empty") return Verdict.Pass;
  return Verdict.Allow;
}

export function on_refresh(): Verdict {
  const ev = new Refresh();
  const token = ev.token;
  if (token == "no") return reject(3500);
  if (token == "pass") return Verdict.Pass;
  ev.expire_at = ev.expire_at + 100;
  const channel = ev.channel;
  ev.info = '{"at":' + json.quote(channel == "" ? "session" : channel) + "}";
  if (token == "bad") ev.info = "{";
  return Verdict.Allow;
}

export function on_channel(): Verdict {
  const ev = new Channel();
  if (ev.channel == "room:secret") return Verdict.Deny;
  if (ev.namespace == "other") return Verdict.Pass;
  ev.history_size = 50;
  if (ev.channel == "room:forever") return Verdict.Pass;
  ev.subscribe = ev.channel == "room:bad" ? "everyone" : "granted";
  ev.publish = "anyone";
  ev.presence = true;
  ev.join_leave = true;
  ev.recovery = true;
  ev.exclude_sender = true;
  ev.history_ttl = 90000;
  ev.slow_consumer = "disconnect";
  return Verdict.Pass;
}

export function on_send(): Verdict {
  const data = new Send().data;
  if (data == "no") return reject(3503);
  return data == "ok" ? Verdict.Allow : Verdict.Pass;
}

function told(code: i64, reason: string, user: string): Verdict {
  assert(code == 2500 && reason == "insufficient state" && user == "alice", "told something else");
  return Verdict.Deny;
}

export function on_unsubscribe(): Verdict {
  const ev = new Unsubscribe();
  assert(ev.channel == "room:1", "another channel");
  return told(ev.code, ev.reason, ev.user);
}

export function on_disconnect(): Verdict {
  const ev = new Disconnect();
  return told(ev.code, ev.reason, ev.user);
}

export function on_audit(): Verdict {
  const ev = new Audit();
  if (ev.kind == "session") return Verdict.Drop;
  if (ev.hook == "publish") return Verdict.Deny;
  assert(ev.action != "start", "oops");
  if (ev.kind != "message" || ev.channel != "room:1" || ev.hook != "" || ev.action != "") {
    ev.remote_addr = "nowhere";
    return Verdict.Pass;
  }
  ev.payload = "gone";
  ev.user = "someone";
  ev.tags = '{"a":"x"}';
  ev.remote_addr = "192.0.2.0";
  ev.reason = "why";
  return Verdict.Pass;
}
