/** The plugin of the conformance suite of the functions of the server. */
import {
  Audit, Channel, Outcome, Rpc, Verdict, config, fail, http, json, jwt, kv, metric, password, random, reject, server,
} from "../zenconn";

/** An argument as JSON; empty when there is none. */
function raw(args: string[], i: i32): string {
  return i < args.length && args[i] != "null" ? args[i] : "";
}

function text(args: string[], i: i32): string {
  return json.text(raw(args, i));
}

function bytes(args: string[], i: i32): ArrayBuffer {
  return String.UTF8.encode(text(args, i));
}

function int(args: string[], i: i32): i64 {
  const n = raw(args, i);
  return n == "" ? 0 : I64.parseInt(n);
}

function milliseconds(args: string[], i: i32): i64 {
  const n = raw(args, i);
  return n == "" ? 0 : <i64>(parseFloat(n) * 1000);
}

function hex(b: ArrayBuffer): string {
  const all = Uint8Array.wrap(b);
  const digits = new Array<string>(all.length);
  for (let i = 0; i < all.length; i++) digits[i] = all[i].toString(16).padStart(2, "0");
  return '"' + digits.join("") + '"';
}

/** What became of a call. types: of its results, t text, j json, i int, b bool. */
function outcome(o: Outcome, types: string): string {
  if (o.absent) return '{"absent":true}';
  if (!o.ok) return '{"failed":' + json.quote(o.failure) + "}";
  const all: string[] = [];
  for (let i = 0; i < types.length; i++) {
    const type = types.charAt(i);
    all.push(type == "i" ? o.int(i).toString() : type == "b" ? o.bool(i).toString() : type == "j" ? o.text(i) : hex(o.bytes(i)));
  }
  return '{"results":[' + all.join(",") + "]}";
}

function call(name: string, a: string[]): string {
  const first = text(a, 0);
  if (name == "kv_get") return outcome(kv.get(first), "ti");
  if (name == "kv_set") return outcome(kv.set(first, bytes(a, 1), milliseconds(a, 2)), "i");
  if (name == "kv_cas") return outcome(kv.cas(first, bytes(a, 1), int(a, 2), milliseconds(a, 3)), "i");
  if (name == "kv_delete") return outcome(kv.remove(first), "");
  if (name == "http_request") return outcome(http.request(first, text(a, 1), raw(a, 2), bytes(a, 3)), "ijt");
  if (name == "server_publish") return outcome(server.publish(first, bytes(a, 1), raw(a, 2)), "");
  if (name == "server_unsubscribe") return outcome(server.unsubscribe(first, text(a, 1), text(a, 2)), "");
  if (name == "server_disconnect") return outcome(server.disconnect(first, text(a, 1), int(a, 2), text(a, 3)), "");
  if (name == "jwt_verify") return outcome(jwt.verify(first, text(a, 1)), "j");
  if (name == "jwt_sign") return outcome(jwt.sign(raw(a, 0), text(a, 1)), "t");
  if (name == "password_hash") return outcome(password.hash(first), "t");
  if (name == "password_verify") return outcome(password.verify(first, text(a, 1)), "b");
  if (name == "metric_add") return outcome(metric.add(first, int(a, 1)), "");
  if (name == "random_bytes") return outcome(random.bytes(int(a, 0)), "t");
  fail("there is no function " + name);
  return "";
}

const loaded = json.field(config(), "probe") == "true" ? call("kv_get", ['"x"']) : "";

export function on_rpc(): Verdict {
  const ev = new Rpc();
  const args = json.items(ev.data);
  const method = ev.method;
  if (method == "flood") while (true) call(json.text(args[0]), args.slice(1));
  ev.reply = method == "loaded" ? loaded : call(method, args);
  return Verdict.Allow;
}

function refusal(): string {
  return server.publish("room:1", String.UTF8.encode("{}")).failure;
}

export function on_audit(): Verdict {
  new Audit().reason = refusal();
  return Verdict.Pass;
}

export function on_channel(): Verdict {
  return reject(0, refusal());
}
