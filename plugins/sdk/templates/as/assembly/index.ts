import { Publish, Verdict, reject } from "./zenconn";

/** May this go out, and what does it say? */
export function on_publish(): Verdict {
  const ev = new Publish();
  if (ev.data.length > 1000) return reject(106, "keep it short");
  return Verdict.Pass;
}
