//! The behaviours of the conformance suite that are about everything else: each has a hook of its own.
use zenconn::*;

zenconn::hook!(on_connect, admit);
zenconn::hook!(on_subscribe, join);
zenconn::hook!(on_rpc, call);
zenconn::hook!(on_refresh, renew);
zenconn::hook!(on_channel, define);
zenconn::hook!(on_send, take);
zenconn::hook!(on_unsubscribe, left);
zenconn::hook!(on_disconnect, gone);
zenconn::hook!(on_audit, redact);

fn admit(ev: Connect) -> Verdict {
    ev.set_user(&format!("u:{}", ev.token()));
    ev.set_info(r#"{"vip":true}"#);
    ev.set_expire_at(1900000000);
    ev.set_data(br#"{"hello":1}"#);
    ev.add_subscription(r#"{"channel":"news"}"#);
    ev.add_grant(r#"{"channels":["room:*"],"match":"wildcard","allow":["sub","pub"]}"#);
    if ev.token() == "badjson" {
        ev.set_info("{");
    }
    Verdict::Allow
}

fn join(ev: Subscribe) -> Verdict {
    ev.set_info(r#"{"seat":1}"#);
    ev.set_data(format!("{{\"welcome\":{}}}", json::quote(&ev.channel())).as_bytes());
    ev.set_expire_at(1900000000);
    ev.set_presence(true);
    ev.set_join_leave(false);
    ev.add_grant(r#"{"allow":["pub"]}"#);
    assert_eq!((ev.presence(), ev.join_leave(), ev.recovery()), (Some(true), Some(false), None));
    Verdict::Allow
}

fn call(ev: Rpc) -> Verdict {
    match ev.method().as_str() {
        "echo" => ev.set_reply(&ev.data()),
        "bad" => ev.set_reply(b"not json"),
        "refuse" => return reject(404, "no such thing"),
        "empty" => {}
        _ => return Verdict::Pass,
    }
    Verdict::Allow
}

fn renew(ev: Refresh) -> Verdict {
    let token = ev.token();
    match token.as_str() {
        "no" => return reject(3500, ""),
        "pass" => return Verdict::Pass,
        _ => {}
    }
    ev.set_expire_at(ev.expire_at() + 100);
    let mut at = ev.channel();
    if at.is_empty() {
        at = "session".to_string();
    }
    ev.set_info(&format!("{{\"at\":{}}}", json::quote(&at)));
    if token == "bad" {
        ev.set_info("{");
    }
    Verdict::Allow
}

fn define(ev: Channel) -> Verdict {
    let channel = ev.channel();
    if channel == "room:secret" {
        return Verdict::Deny;
    }
    if ev.namespace() == "other" {
        return Verdict::Pass;
    }
    ev.set_history_size(50);
    if channel == "room:forever" {
        return Verdict::Pass;
    }
    ev.set_subscribe(if channel == "room:bad" { "everyone" } else { "granted" });
    ev.set_publish("anyone");
    ev.set_presence(true);
    ev.set_join_leave(true);
    ev.set_recovery(true);
    ev.set_exclude_sender(true);
    ev.set_history_ttl(90_000);
    ev.set_slow_consumer("disconnect");
    Verdict::Pass
}

fn take(ev: Send) -> Verdict {
    match ev.data().as_slice() {
        b"ok" => Verdict::Allow,
        b"no" => reject(3503, ""),
        _ => Verdict::Pass,
    }
}

fn left(ev: Unsubscribe) -> Verdict {
    assert_eq!(ev.channel(), "room:1");
    told(ev.code(), ev.reason(), ev.user())
}

fn gone(ev: Disconnect) -> Verdict {
    told(ev.code(), ev.reason(), ev.user())
}

fn told(code: i64, reason: String, user: String) -> Verdict {
    assert_eq!((code, reason.as_str(), user.as_str()), (2500, "insufficient state", "alice"));
    Verdict::Deny
}

fn redact(ev: Audit) -> Verdict {
    if ev.kind() == "session" {
        return Verdict::Drop;
    }
    if ev.hook() == "publish" {
        return Verdict::Deny;
    }
    assert_ne!(ev.action(), "start");
    if ev.kind() != "message" || ev.channel() != "room:1" || !ev.hook().is_empty() || !ev.action().is_empty() {
        ev.set_remote_addr("nowhere");
        return Verdict::Pass;
    }
    ev.set_payload(b"gone");
    ev.set_user("someone");
    ev.set_tags(r#"{"a":"x"}"#);
    ev.set_remote_addr("192.0.2.0");
    ev.set_reason("why");
    Verdict::Pass
}
