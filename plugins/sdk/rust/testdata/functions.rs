//! The plugin of the conformance suite of the functions of the server.
use zenconn::*;

zenconn::init!(load);
zenconn::hook!(on_rpc, on_rpc_call);
zenconn::hook!(on_audit, on_audit_event);
zenconn::hook!(on_channel, on_channel_name);

static mut LOADED: String = String::new();

fn load() {
    if json::field(&config(), "probe") == Some("true") {
        unsafe { LOADED = call("kv_get", &["\"x\""]) };
    }
}

/// Arguments of a call, as JSON; beyond their end are empty ones.
struct Arguments<'a>(&'a [&'a str]);

impl<'a> Arguments<'a> {
    fn raw(&self, i: usize) -> &'a str {
        self.0.get(i).copied().filter(|a| *a != "null").unwrap_or_default()
    }
    fn text(&self, i: usize) -> String {
        json::text(self.raw(i)).unwrap_or_default()
    }
    fn int(&self, i: usize) -> i64 {
        self.raw(i).parse().unwrap_or_default()
    }
    fn milliseconds(&self, i: usize) -> i64 {
        (self.raw(i).parse::<f64>().unwrap_or_default() * 1000.0) as i64
    }
}

fn hex(b: impl AsRef<[u8]>) -> String {
    let digits: Vec<String> = b.as_ref().iter().map(|c| format!("{:02x}", c)).collect();
    format!("\"{}\"", digits.concat())
}

fn outcome(result: Result<Option<Vec<String>>, Failure>) -> String {
    match result {
        Ok(Some(values)) => format!("{{\"results\":[{}]}}", values.join(",")),
        Ok(None) => "{\"absent\":true}".to_string(),
        Err(why) => format!("{{\"failed\":{}}}", json::quote(&why.0)),
    }
}

fn call(name: &str, args: &[&str]) -> String {
    let a = Arguments(args);
    let (first, second) = (a.text(0), a.text(1));
    outcome(match name {
        "kv_get" => kv::get(&first).map(|found| found.map(|(value, revision)| vec![hex(value), revision.to_string()])),
        "kv_set" => kv::set(&first, second.as_bytes(), a.milliseconds(2)).map(|revision| Some(vec![revision.to_string()])),
        "kv_cas" => {
            kv::cas(&first, second.as_bytes(), a.int(2), a.milliseconds(3)).map(|next| next.map(|revision| vec![revision.to_string()]))
        }
        "kv_delete" => kv::delete(&first).map(|_| Some(vec![])),
        "http_request" => http::request(&first, &second, a.raw(2), a.text(3).as_bytes())
            .map(|(status, headers, body)| Some(vec![status.to_string(), headers, hex(body)])),
        "server_publish" => server::publish(&first, second.as_bytes(), a.raw(2)).map(|_| Some(vec![])),
        "server_unsubscribe" => server::unsubscribe(&first, &second, &a.text(2)).map(|_| Some(vec![])),
        "server_disconnect" => server::disconnect(&first, &second, a.int(2), &a.text(3)).map(|_| Some(vec![])),
        "jwt_verify" => jwt::verify(&first, &second).map(|claims| Some(vec![claims])),
        "jwt_sign" => jwt::sign(a.raw(0), &second).map(|token| Some(vec![hex(token)])),
        "password_hash" => password::hash(&first).map(|hash| Some(vec![hex(hash)])),
        "password_verify" => password::verify(&first, &second).map(|right| Some(vec![right.to_string()])),
        "metric_add" => metric::add(&first, a.int(1)).map(|_| Some(vec![])),
        "random_bytes" => random::bytes(a.int(0)).map(|b| Some(vec![hex(b)])),
        _ => panic!("there is no function {}", name),
    })
}

fn on_rpc_call(ev: Rpc) -> Verdict {
    let data = String::from_utf8(ev.data()).unwrap();
    let args: Vec<&str> = json::items(&data).collect();
    let reply = match ev.method().as_str() {
        "loaded" => unsafe { (*core::ptr::addr_of!(LOADED)).clone() },
        "flood" => loop {
            call(&json::text(args[0]).unwrap(), &args[1..]);
        },
        name => call(name, &args),
    };
    ev.set_reply(reply.as_bytes());
    Verdict::Allow
}

fn refusal() -> String {
    server::publish("room:1", b"{}", "").unwrap_err().0
}

fn on_audit_event(ev: Audit) -> Verdict {
    ev.set_reason(&refusal());
    Verdict::Pass
}

fn on_channel_name(_: Channel) -> Verdict {
    reject(0, &refusal())
}
