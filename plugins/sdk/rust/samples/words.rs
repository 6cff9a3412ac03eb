//! Keeps words out of messages, which are JSON with a text. config: {"words": ["darn", "heck"]}. Whole words in the text become stars,
//! however they are spelled with capitals; the message then says so to clients ("masked": 2) and in its tags.
use zenconn::*;

zenconn::init!(load);
zenconn::hook!(on_publish, filter);

/// In lower case. Written once, before the first call.
static mut WORDS: Vec<String> = Vec::new();

fn words() -> &'static [String] {
    unsafe { &*core::ptr::addr_of!(WORDS) }
}

fn load() {
    let config = config();
    let list = json::field(&config, "words").unwrap_or_default();
    let words: Vec<String> = json::items(list).filter_map(json::text).map(|w| w.to_ascii_lowercase()).collect();
    assert!(!words.is_empty(), "config.words is empty: there is nothing to look for");
    unsafe { WORDS = words };
}

fn letter(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c >= 0x80
}

/// Where the next word begins and ends, in what is inside of a JSON string.
fn next_word(text: &[u8], mut from: usize) -> Option<(usize, usize)> {
    while from < text.len() && !letter(text[from]) {
        from += if text[from] == b'\\' { 2 } else { 1 }; // What follows is part of the escape.
    }
    let rest = text.get(from..).filter(|rest| !rest.is_empty())?;
    let length = rest.iter().position(|&c| !letter(c)).unwrap_or(rest.len());
    Some((from, from + length))
}

fn filter(ev: Publish) -> Verdict {
    let mut data = ev.data();
    let (mut at, end) = match text_of(&data) {
        Some(text) => text,
        None => return reject(400, "a message needs a text"),
    };
    let mut masked = 0;
    while let Some((from, to)) = next_word(&data[..end], at) {
        let word = &mut data[from..to];
        if words().iter().any(|w| w.as_bytes().eq_ignore_ascii_case(word)) {
            word.fill(b'*');
            masked += 1;
        }
        at = to;
    }
    if masked > 0 {
        while data.pop() != Some(b'}') {} // And spaces after the object.
        data.extend_from_slice(format!(",\"masked\":{}}}", masked).as_bytes());
        ev.set_data(&data);
        ev.set_tags(&format!("{{\"masked\":\"{}\"}}", masked));
    }
    Verdict::Pass
}

/// Where in the data the text stands, without its quotation marks.
fn text_of(data: &[u8]) -> Option<(usize, usize)> {
    let data = core::str::from_utf8(data).ok()?;
    let text = json::field(data, "text")?.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.is_empty())?;
    let from = text.as_ptr() as usize - data.as_ptr() as usize;
    Some((from, from + text.len()))
}
