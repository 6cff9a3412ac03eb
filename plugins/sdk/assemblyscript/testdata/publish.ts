/** The behaviours of the conformance suite that are about publications. The configuration says which. */
import { Publish, Verdict, config, json, reject } from "../zenconn";

const behaviour = json.text(json.field(config(), "behaviour"));

export function on_publish(): Verdict {
  const ev = new Publish();
  const data = ev.data;
  if (behaviour == "verdicts") return verdicts(data);
  if (behaviour == "fields") return fields(ev);
  if (behaviour == "rewrite") return rewrite(ev);
  if (behaviour == "route") return route(ev);
  while (ev.data == "spin") {}
  return Verdict.Allow;
}

function verdicts(data: string): Verdict {
  if (data == "allow") return Verdict.Allow;
  if (data == "deny") return Verdict.Deny;
  if (data == "code") return reject(106);
  if (data == "disconnect") return reject(3503);
  if (data == "reason") return reject(0, "because");
  if (data == "both") return reject(403, "because");
  if (data == "drop") return Verdict.Drop;
  if (data == "fault") throw new Error("oops");
  if (data == "range") return reject(2500);
  if (data == "garbage") return changetype<Verdict>(7);
  return Verdict.Pass;
}

function fields(ev: Publish): Verdict {
  const tag = json.text(json.field(ev.tags, "a"));
  ev.data = [
    ev.channel, ev.client, ev.user, ev.info, ev.name, ev.version, ev.remote_addr, ev.transport, ev.protocol, ev.user_agent, ev.header("X-Test"),
    ev.id, ev.data, tag,
  ].join("|");
  return Verdict.Pass;
}

function rewrite(ev: Publish): Verdict {
  const what = ev.data;
  ev.tags = '{"lang":"en"}';
  ev.data = "written";
  assert(what != "fault", "oops");
  return what == "allow" ? Verdict.Allow : Verdict.Pass;
}

function route(ev: Publish): Verdict {
  const what = ev.data;
  if (what == "redirect") ev.redirect = "room:2";
  if (what == "expire") ev.expire_at = 1900000000;
  if (what == "skip") ev.skip_history = true;
  if (what == "exclude") ev.exclude_sender = true;
  if (what == "include") ev.exclude_sender = false;
  return Verdict.Pass;
}
