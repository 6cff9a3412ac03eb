use zenconn::*;

zenconn::hook!(on_publish, limit);

/// May this go out, and what does it say?
fn limit(ev: Publish) -> Verdict {
    if ev.data().len() > 1000 {
        return reject(106, "keep it short");
    }
    Verdict::Pass
}
