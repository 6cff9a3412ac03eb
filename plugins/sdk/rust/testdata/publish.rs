//! The behaviours of the conformance suite that are about publications. The configuration says which.
use zenconn::*;

zenconn::hook!(on_publish, behave);

fn behave(ev: Publish) -> Verdict {
    let config = config();
    match json::field(&config, "behaviour").and_then(json::text).unwrap_or_default().as_str() {
        "verdicts" => verdicts(ev),
        "fields" => fields(ev),
        "rewrite" => rewrite(ev),
        "route" => route(ev),
        _ => spin(ev),
    }
}

fn verdicts(ev: Publish) -> Verdict {
    match ev.data().as_slice() {
        b"allow" => Verdict::Allow,
        b"deny" => Verdict::Deny,
        b"code" => reject(106, ""),
        b"disconnect" => reject(3503, ""),
        b"reason" => reject(0, "because"),
        b"both" => reject(403, "because"),
        b"drop" => Verdict::Drop,
        b"fault" => panic!("oops"),
        b"range" => reject(2500, ""),
        b"garbage" => {
            reject(0, "what is rejected must be denied");
            Verdict::Allow
        }
        _ => Verdict::Pass,
    }
}

fn fields(ev: Publish) -> Verdict {
    let (tags, data) = (ev.tags(), String::from_utf8(ev.data()).unwrap());
    let tag = json::field(&tags, "a").and_then(json::text).unwrap();
    let all = [
        ev.channel(), ev.client(), ev.user(), ev.info(), ev.name(), ev.version(), ev.remote_addr(), ev.transport(), ev.protocol(),
        ev.user_agent(), ev.header("X-Test"), ev.id(), data, tag,
    ];
    ev.set_data(all.join("|").as_bytes());
    Verdict::Pass
}

fn rewrite(ev: Publish) -> Verdict {
    let what = ev.data();
    ev.set_tags(r#"{"lang":"en"}"#);
    ev.set_data(b"written");
    match what.as_slice() {
        b"fault" => panic!("oops"),
        b"allow" => Verdict::Allow,
        _ => Verdict::Pass,
    }
}

fn route(ev: Publish) -> Verdict {
    match ev.data().as_slice() {
        b"redirect" => ev.set_redirect("room:2"),
        b"expire" => ev.set_expire_at(1900000000),
        b"skip" => ev.set_skip_history(true),
        b"exclude" => ev.set_exclude_sender(true),
        b"include" => ev.set_exclude_sender(false),
        _ => {}
    }
    Verdict::Pass
}

fn spin(ev: Publish) -> Verdict {
    while ev.data() == b"spin" {}
    Verdict::Allow
}
