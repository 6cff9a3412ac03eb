/**
 * Keeps words out of messages, which are JSON with a text. config: {"words": ["darn", "heck"]}. Whole words in the text become stars,
 * however they are spelled with capitals; the message then says so to clients ("masked": 2) and in its tags.
 */
import { Publish, Verdict, config, fail, json, reject } from "../zenconn";

const words = json.items(json.field(config(), "words")).map<string>((word) => json.text(word).toLowerCase());
if (words.length == 0) fail("config.words is empty: there is nothing to look for");

function isLetter(c: i32): bool {
  return (c >= 48 && c <= 57) || ((c | 32) >= 97 && (c | 32) <= 122) || c >= 0x80;
}

export function on_publish(): Verdict {
  const ev = new Publish();
  const data = ev.data;
  const text = json.field(data, "text");
  if (text.length <= 2 || !text.startsWith('"')) return reject(400, "a message needs a text");
  const parts: string[] = []; // Of the text, up to from.
  let from = 0;
  let masked = 0;
  let i = 0;
  while (i < text.length) {
    const begin = i;
    while (i < text.length && isLetter(text.charCodeAt(i))) i++;
    if (i > begin && words.includes(text.substring(begin, i).toLowerCase())) {
      parts.push(text.substring(from, begin));
      parts.push("*".repeat(i - begin));
      from = i;
      masked++;
    }
    if (i < text.length) i += text.charCodeAt(i) == 0x5c ? 2 : 1; // And what it escapes.
  }
  if (masked == 0) return Verdict.Pass;
  parts.push(text.substring(from));
  const changed = data.replace(text, parts.join(""));
  ev.data = changed.substring(0, changed.lastIndexOf("}")) + ',"masked":' + masked.toString() + "}";
  ev.tags = '{"masked":"' + masked.toString() + '"}';
  return Verdict.Pass;
}
