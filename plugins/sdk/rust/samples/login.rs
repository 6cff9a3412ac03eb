//! Admits clients that bring a token. It needs allow.jwt, and the key "main". The token's sub is the user, and its name is shown to
//! others. Everybody is subscribed to a channel of their own, and may read and write in rooms.
use zenconn::*;

zenconn::hook!(on_connect, admit);

fn admit(ev: Connect) -> Verdict {
    let token = ev.token();
    if token.is_empty() {
        return reject(101, "a token is needed");
    }
    let claims = match jwt::verify(&token, "main") {
        Ok(claims) => claims,
        Err(why) => {
            log::info(&format!("refused a token: {}", why));
            let _ = metric::add("refused", 1); // A login does not fail because of a counter.
            return reject(101, "the token is not good");
        }
    };
    let user = json::field(&claims, "sub").and_then(json::text).unwrap_or_default();
    if user.is_empty() {
        return reject(101, "the token does not say whose it is");
    }
    ev.set_user(&user);
    let expires = json::field(&claims, "exp").and_then(|exp| exp.parse().ok());
    ev.set_expire_at(expires.unwrap_or(0));
    if let Some(name) = json::field(&claims, "name") {
        ev.set_info(&format!("{{\"name\":{}}}", name));
    }
    ev.add_subscription(&format!("{{\"channel\":{}}}", json::quote(&format!("user:{}", user))));
    ev.add_grant(r#"{"channels":["room:*"],"match":"wildcard","allow":["sub","pub"]}"#);
    Verdict::Allow
}
