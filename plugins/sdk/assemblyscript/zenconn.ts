/**
 * zenconn.ts: ZenConn plugins in AssemblyScript, in one module. See README.md.
 *
 *   import { Publish, Verdict, reject } from "./zenconn";
 *
 *   export function on_publish(): Verdict {
 *     const ev = new Publish();
 *     return ev.data.length > 1000 ? reject(106, "too long") : Verdict.Pass;
 *   }
 *
 * Several instances of a plugin run side by side, so variables must not remember anything from one call to the next. A mistake, such
 * as a failed assertion or JSON that is none where it must be, is a line in the server's log and the end of the call, as a fault.
 */

// @ts-ignore: a decorator
@external("hook_v1", "get")
declare function host_get(field: i32, to: usize, size: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "set")
declare function host_set(field: i32, bytes: usize, length: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "reject")
declare function host_reject(code: i32, reason: usize, length: i32): void;

// @ts-ignore: a decorator
@external("hook_v1", "log")
declare function host_log(level: i32, line: usize, length: i32): void;

// @ts-ignore: a decorator
@external("hook_v1", "result")
declare function host_result(index: i32, to: usize, size: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "now_ms")
declare function host_now_ms(): i64;

function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}

/** The plugin's configuration, a JSON object: json.field reads it. It is there at any time. */
export function config(): string {
  return readText(Field.config);
}

/** Denies with a code, 0 for the usual one, and a sentence for the client: return reject(403, "why"). */
export function reject(code: i32, reason: string = ""): Verdict {
  const b = utf8(reason);
  host_reject(code, changetype<usize>(b), b.byteLength);
  return Verdict.Deny;
}

/** Lines in the server's log. */
export namespace log {
  function line(level: i32, text: string): void {
    const b = utf8(text);
    host_log(level, changetype<usize>(b), b.byteLength);
  }
  export function debug(text: string): void {
    line(0, text);
  }
  export function info(text: string): void {
    line(1, text);
  }
  export function warn(text: string): void {
    line(2, text);
  }
  export function error(text: string): void {
    line(3, text);
  }
}

/** Ends the call as a fault, with a line in the server's log. While the plugin is loaded: it is not loaded. */
export function fail(why: string): void {
  log.error(why);
  unreachable();
}

/** What the compiler calls for abort, throw and assert: asc --use abort=assembly/zenconn/fault */
export function fault(message: string | null, file: string | null, line: u32, column: u32): void {
  fail((message ? message : "abort") + " (" + (file ? file : "") + ":" + line.toString() + ")");
}

/** The server's time in milliseconds since 1970. */
export function now_ms(): i64 {
  return host_now_ms();
}

/** What became of a function of the server. Its results are there until the next function is called. */
export class Outcome {
  constructor(public status: i32) {}

  /** It is done, and there is a result. */
  get ok(): bool {
    return this.status >= 0;
  }
  /** There is no result; the function says when. */
  get absent(): bool {
    return this.status == -1;
  }
  /** Why it could not be done; empty unless it could not. */
  get failure(): string {
    return this.status == -2 ? this.text(0) : "";
  }
  /** A result of type text, bytes or json. */
  text(index: i32): string {
    const n = readResult(index);
    return String.UTF8.decodeUnsafe(changetype<usize>(buffer), n);
  }
  /** A result of type bytes. */
  bytes(index: i32): ArrayBuffer {
    const n = readResult(index);
    return buffer.slice(0, n);
  }
  /** A result of type int. */
  int(index: i32): i64 {
    return readResult(index) == 8 ? load<i64>(changetype<usize>(buffer)) : 0;
  }
  /** A result of type bool. */
  bool(index: i32): bool {
    return readResult(index) == 1 && load<u8>(changetype<usize>(buffer)) == 1;
  }
}

// generated from hooks/host: change it there, then run go generate ./hooks/host

/** What a hook returns. `reject` makes a `Deny` with a code and a reason. */
export enum Verdict {
  /** Yes; the next plugin is asked. */
  Allow = 0,
  /** No; nobody else is asked. */
  Deny = 1,
  /** In on_publish: acknowledge, and deliver to nobody. In on_audit: do not store. */
  Drop = 2,
  /** No opinion; the next plugin is asked. */
  Pass = 3,
}

enum Field {
  client = 1,
  user = 2,
  info = 3,
  name = 4,
  version = 5,
  remote_addr = 6,
  transport = 7,
  protocol = 8,
  user_agent = 9,
  header = 10,
  config = 11,
  channel = 12,
  data = 13,
  token = 14,
  expire_at = 15,
  presence = 16,
  join_leave = 17,
  recovery = 18,
  id = 19,
  tags = 20,
  redirect = 21,
  skip_history = 22,
  exclude_sender = 23,
  method = 24,
  reply = 25,
  subscription = 26,
  grant = 27,
  namespace = 28,
  subscribe = 29,
  publish = 30,
  history_size = 31,
  history_ttl = 32,
  slow_consumer = 33,
  code = 34,
  reason = 35,
  kind = 36,
  hook = 37,
  action = 38,
  payload = 39,
}

/** The event of on_connect. */
export class Connect {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  set user(value: string) {
    writeText(Field.user, value);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  set info(value: string) {
    writeText(Field.info, value);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out. */
  get data(): string {
    return readText(Field.data);
  }
  /** The same as bytes, which need not be UTF-8. */
  get data_bytes(): ArrayBuffer {
    return readBytes(Field.data);
  }
  set data(value: string) {
    writeText(Field.data, value);
  }
  set data_bytes(value: ArrayBuffer) {
    writeBytes(Field.data, value);
  }
  /** The token the client brought; empty when it has none. */
  get token(): string {
    return readText(Field.token);
  }
  /** Seconds since 1970; 0 is never. In publish: when the history stops showing the publication. */
  get expire_at(): i64 {
    return readInt(Field.expire_at);
  }
  set expire_at(value: i64) {
    writeInt(Field.expire_at, value);
  }
  /** Each write subscribes the client to one channel: {"channel": "news"}, and optionally info, data, expire_at, presence, join_leave, recovery. */
  add_subscription(json: string): void {
    writeText(Field.subscription, json);
  }
  /** Each write gives rights: {"channels": ["room:*"], "match": "wildcard", "allow": ["sub", "pub"]}. In subscribe they are for this channel: {"allow": ["pub"]}. */
  add_grant(json: string): void {
    writeText(Field.grant, json);
  }
}

/** The event of on_refresh. */
export class Refresh {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  set info(value: string) {
    writeText(Field.info, value);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** The channel; absent when a session is refreshed. */
  get channel(): string {
    return readText(Field.channel);
  }
  /** The token the client brought; empty when it has none. */
  get token(): string {
    return readText(Field.token);
  }
  /** Seconds since 1970; 0 is never. In publish: when the history stops showing the publication. */
  get expire_at(): i64 {
    return readInt(Field.expire_at);
  }
  set expire_at(value: i64) {
    writeInt(Field.expire_at, value);
  }
}

/** The event of on_subscribe. */
export class Subscribe {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  set info(value: string) {
    writeText(Field.info, value);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** The channel; absent when a session is refreshed. */
  get channel(): string {
    return readText(Field.channel);
  }
  /** What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out. */
  get data(): string {
    return readText(Field.data);
  }
  /** The same as bytes, which need not be UTF-8. */
  get data_bytes(): ArrayBuffer {
    return readBytes(Field.data);
  }
  set data(value: string) {
    writeText(Field.data, value);
  }
  set data_bytes(value: ArrayBuffer) {
    writeBytes(Field.data, value);
  }
  /** Seconds since 1970; 0 is never. In publish: when the history stops showing the publication. */
  get expire_at(): i64 {
    return readInt(Field.expire_at);
  }
  set expire_at(value: i64) {
    writeInt(Field.expire_at, value);
  }
  /** Whether presence is kept; absent, which only subscribe knows: as the channel's options say. */
  get presence(): bool {
    return readFlag(Field.presence) == 1;
  }
  /** Whether presence has a value. */
  get has_presence(): bool {
    return readFlag(Field.presence) >= 0;
  }
  set presence(value: bool) {
    writeBool(Field.presence, value);
  }
  /** Whether others are told of comings and goings; absent: the same. */
  get join_leave(): bool {
    return readFlag(Field.join_leave) == 1;
  }
  /** Whether join_leave has a value. */
  get has_join_leave(): bool {
    return readFlag(Field.join_leave) >= 0;
  }
  set join_leave(value: bool) {
    writeBool(Field.join_leave, value);
  }
  /** Whether missed publications can be recovered; absent: the same. */
  get recovery(): bool {
    return readFlag(Field.recovery) == 1;
  }
  /** Whether recovery has a value. */
  get has_recovery(): bool {
    return readFlag(Field.recovery) >= 0;
  }
  set recovery(value: bool) {
    writeBool(Field.recovery, value);
  }
  /** Each write gives rights: {"channels": ["room:*"], "match": "wildcard", "allow": ["sub", "pub"]}. In subscribe they are for this channel: {"allow": ["pub"]}. */
  add_grant(json: string): void {
    writeText(Field.grant, json);
  }
}

/** The event of on_channel. */
export class Channel {
  /** The channel; absent when a session is refreshed. */
  get channel(): string {
    return readText(Field.channel);
  }
  /** Whether presence is kept; absent, which only subscribe knows: as the channel's options say. */
  get presence(): bool {
    return readFlag(Field.presence) == 1;
  }
  /** Whether presence has a value. */
  get has_presence(): bool {
    return readFlag(Field.presence) >= 0;
  }
  set presence(value: bool) {
    writeBool(Field.presence, value);
  }
  /** Whether others are told of comings and goings; absent: the same. */
  get join_leave(): bool {
    return readFlag(Field.join_leave) == 1;
  }
  /** Whether join_leave has a value. */
  get has_join_leave(): bool {
    return readFlag(Field.join_leave) >= 0;
  }
  set join_leave(value: bool) {
    writeBool(Field.join_leave, value);
  }
  /** Whether missed publications can be recovered; absent: the same. */
  get recovery(): bool {
    return readFlag(Field.recovery) == 1;
  }
  /** Whether recovery has a value. */
  get has_recovery(): bool {
    return readFlag(Field.recovery) >= 0;
  }
  set recovery(value: bool) {
    writeBool(Field.recovery, value);
  }
  /** Whether the publisher gets no copy; absent in publish: as the channel's options say. */
  get exclude_sender(): bool {
    return readFlag(Field.exclude_sender) == 1;
  }
  /** Whether exclude_sender has a value. */
  get has_exclude_sender(): bool {
    return readFlag(Field.exclude_sender) >= 0;
  }
  set exclude_sender(value: bool) {
    writeBool(Field.exclude_sender, value);
  }
  /** The channel's namespace. */
  get namespace(): string {
    return readText(Field.namespace);
  }
  /** Who may subscribe: nobody, granted, user or anyone. */
  get subscribe(): string {
    return readText(Field.subscribe);
  }
  set subscribe(value: string) {
    writeText(Field.subscribe, value);
  }
  /** Who may publish: the same. */
  get publish(): string {
    return readText(Field.publish);
  }
  set publish(value: string) {
    writeText(Field.publish, value);
  }
  /** How many publications are kept; 0: none. */
  get history_size(): i64 {
    return readInt(Field.history_size);
  }
  set history_size(value: i64) {
    writeInt(Field.history_size, value);
  }
  /** For how many milliseconds they are kept. */
  get history_ttl(): i64 {
    return readInt(Field.history_ttl);
  }
  set history_ttl(value: i64) {
    writeInt(Field.history_ttl, value);
  }
  /** What happens to slow clients: disconnect, drop_oldest or conflate. */
  get slow_consumer(): string {
    return readText(Field.slow_consumer);
  }
  set slow_consumer(value: string) {
    writeText(Field.slow_consumer, value);
  }
}

/** The event of on_publish. */
export class Publish {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** The channel; absent when a session is refreshed. */
  get channel(): string {
    return readText(Field.channel);
  }
  /** What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out. */
  get data(): string {
    return readText(Field.data);
  }
  /** The same as bytes, which need not be UTF-8. */
  get data_bytes(): ArrayBuffer {
    return readBytes(Field.data);
  }
  set data(value: string) {
    writeText(Field.data, value);
  }
  set data_bytes(value: ArrayBuffer) {
    writeBytes(Field.data, value);
  }
  /** Seconds since 1970; 0 is never. In publish: when the history stops showing the publication. */
  get expire_at(): i64 {
    return readInt(Field.expire_at);
  }
  set expire_at(value: i64) {
    writeInt(Field.expire_at, value);
  }
  /** The message's identifier, as in the audit. */
  get id(): string {
    return readText(Field.id);
  }
  /** Its tags, an object of strings. Written as a whole. */
  get tags(): string {
    return readText(Field.tags);
  }
  set tags(value: string) {
    writeText(Field.tags, value);
  }
  /** The channel it goes to instead; absent when it stays. */
  get redirect(): string {
    return readText(Field.redirect);
  }
  set redirect(value: string) {
    writeText(Field.redirect, value);
  }
  /** Deliver it, but do not keep it. */
  get skip_history(): bool {
    return readFlag(Field.skip_history) == 1;
  }
  set skip_history(value: bool) {
    writeBool(Field.skip_history, value);
  }
  /** Whether the publisher gets no copy; absent in publish: as the channel's options say. */
  get exclude_sender(): bool {
    return readFlag(Field.exclude_sender) == 1;
  }
  /** Whether exclude_sender has a value. */
  get has_exclude_sender(): bool {
    return readFlag(Field.exclude_sender) >= 0;
  }
  set exclude_sender(value: bool) {
    writeBool(Field.exclude_sender, value);
  }
}

/** The event of on_rpc. */
export class Rpc {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out. */
  get data(): string {
    return readText(Field.data);
  }
  /** The same as bytes, which need not be UTF-8. */
  get data_bytes(): ArrayBuffer {
    return readBytes(Field.data);
  }
  /** The method that is called. */
  get method(): string {
    return readText(Field.method);
  }
  /** The answer to the call, JSON for clients that speak it; absent until it is written. */
  get reply(): string {
    return readText(Field.reply);
  }
  /** The same as bytes, which need not be UTF-8. */
  get reply_bytes(): ArrayBuffer {
    return readBytes(Field.reply);
  }
  set reply(value: string) {
    writeText(Field.reply, value);
  }
  set reply_bytes(value: ArrayBuffer) {
    writeBytes(Field.reply, value);
  }
}

/** The event of on_send. */
export class Send {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** What the client sent. Written in connect and subscribe, what it gets with the reply, which is JSON; written in publish, what goes out. */
  get data(): string {
    return readText(Field.data);
  }
  /** The same as bytes, which need not be UTF-8. */
  get data_bytes(): ArrayBuffer {
    return readBytes(Field.data);
  }
}

/** The event of on_unsubscribe. */
export class Unsubscribe {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** The channel; absent when a session is refreshed. */
  get channel(): string {
    return readText(Field.channel);
  }
  /** Why, as a number. In unsubscribe 0: the client asked for it, 1: the session ended. */
  get code(): i64 {
    return readInt(Field.code);
  }
  /** Why, as a sentence. */
  get reason(): string {
    return readText(Field.reason);
  }
}

/** The event of on_disconnect. */
export class Disconnect {
  /** A header of the handshake request; empty when there is none. */
  header(name: string): string {
    return readHeader(name);
  }
  /** The session's identifier. */
  get client(): string {
    return readText(Field.client);
  }
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  /** What others see about the connection; written in subscribe, what they see in this channel. */
  get info(): string {
    return readText(Field.info);
  }
  /** What the client calls itself. */
  get name(): string {
    return readText(Field.name);
  }
  /** The version it says it has. */
  get version(): string {
    return readText(Field.version);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  /** How it is connected: websocket. */
  get transport(): string {
    return readText(Field.transport);
  }
  /** What it speaks: json or protobuf. */
  get protocol(): string {
    return readText(Field.protocol);
  }
  /** The browser's or library's name. */
  get user_agent(): string {
    return readText(Field.user_agent);
  }
  /** Why, as a number. In unsubscribe 0: the client asked for it, 1: the session ended. */
  get code(): i64 {
    return readInt(Field.code);
  }
  /** Why, as a sentence. */
  get reason(): string {
    return readText(Field.reason);
  }
}

/** The event of on_audit. */
export class Audit {
  /** Who it is; empty when anonymous. */
  get user(): string {
    return readText(Field.user);
  }
  set user(value: string) {
    writeText(Field.user, value);
  }
  /** Its IP address. */
  get remote_addr(): string {
    return readText(Field.remote_addr);
  }
  set remote_addr(value: string) {
    writeText(Field.remote_addr, value);
  }
  /** The channel; absent when a session is refreshed. */
  get channel(): string {
    return readText(Field.channel);
  }
  /** Its tags, an object of strings. Written as a whole. */
  get tags(): string {
    return readText(Field.tags);
  }
  set tags(value: string) {
    writeText(Field.tags, value);
  }
  /** Why, as a sentence. */
  get reason(): string {
    return readText(Field.reason);
  }
  set reason(value: string) {
    writeText(Field.reason, value);
  }
  /** What is about to be stored: message, session, decision or action. */
  get kind(): string {
    return readText(Field.kind);
  }
  /** The hook of a decision. */
  get hook(): string {
    return readText(Field.hook);
  }
  /** What was done, of an action. */
  get action(): string {
    return readText(Field.action);
  }
  /** The data of a message, or the request of an action; absent when it is not kept. */
  get payload(): string {
    return readText(Field.payload);
  }
  /** The same as bytes, which need not be UTF-8. */
  get payload_bytes(): ArrayBuffer {
    return readBytes(Field.payload);
  }
  set payload(value: string) {
    writeText(Field.payload, value);
  }
  set payload_bytes(value: ArrayBuffer) {
    writeBytes(Field.payload, value);
  }
}

/** The functions kv_… of the server. */
export namespace kv {
  /**
   * Reads a value that this plugin has stored, here or on another node. It needs allow.kv.
   * key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
   * Result 0: value (bytes). At most 64 KiB.
   * Result 1: revision (int).
   * absent: the key has no value.
   */
  export function get(key: string): Outcome {
    const key_ = utf8(key);
    return new Outcome(host_kv_get(changetype<usize>(key_), key_.byteLength));
  }

  /**
   * Stores a value, whatever was there before. It needs allow.kv.
   * key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
   * value: At most 64 KiB.
   * ttl: May be empty or 0. Milliseconds. How long it is kept; 0: for ever.
   * Result 0: revision (int).
   */
  export function set(key: string, value: ArrayBuffer, ttl: i64 = 0): Outcome {
    const key_ = utf8(key);
    return new Outcome(host_kv_set(changetype<usize>(key_), key_.byteLength, changetype<usize>(value), value.byteLength, ttl));
  }

  /**
   * Stores a value if nobody else has since the revision was read (compare and swap). It needs allow.kv.
   * key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
   * value: At most 64 KiB.
   * revision: 0: the key must have no value.
   * ttl: May be empty or 0. Milliseconds. How long it is kept; 0: for ever.
   * Result 0: revision (int).
   * absent: the key's revision is another one by now: read it, and try again.
   */
  export function cas(key: string, value: ArrayBuffer, revision: i64, ttl: i64 = 0): Outcome {
    const key_ = utf8(key);
    return new Outcome(host_kv_cas(changetype<usize>(key_), key_.byteLength, changetype<usize>(value), value.byteLength, revision, ttl));
  }

  /**
   * Removes a value, if there is one. It needs allow.kv.
   * key: 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
   */
  export function remove(key: string): Outcome {
    const key_ = utf8(key);
    return new Outcome(host_kv_delete(changetype<usize>(key_), key_.byteLength));
  }
}

/** The functions http_… of the server. */
export namespace http {
  /**
   * Asks a web server, and waits for the answer, whatever its status is. It needs allow.http.
   * method: GET, POST and so on.
   * url: Its host must be in allow.http.
   * headers: May be empty or 0. An object of texts.
   * body: May be empty or 0.
   * Result 0: status (int).
   * Result 1: headers (json). An object of texts; the names are in lower case.
   * Result 2: body (bytes).
   */
  export function request(method: string, url: string, headers: string = "", body: ArrayBuffer = new ArrayBuffer(0)): Outcome {
    const method_ = utf8(method);
    const url_ = utf8(url);
    const headers_ = utf8(headers);
    return new Outcome(host_http_request(changetype<usize>(method_), method_.byteLength, changetype<usize>(url_), url_.byteLength, changetype<usize>(headers_), headers_.byteLength, changetype<usize>(body), body.byteLength));
  }
}

/** The functions server_… of the server. */
export namespace server {
  /**
   * Publishes to a channel in the server's name: no rule and no hook is asked. When it returns, the publication is on its way and in the history. It needs allow.publish.
   * data: JSON, unless the channel's content is binary.
   * tags: May be empty or 0. An object of texts.
   */
  export function publish(channel: string, data: ArrayBuffer, tags: string = ""): Outcome {
    const channel_ = utf8(channel);
    const tags_ = utf8(tags);
    return new Outcome(host_server_publish(changetype<usize>(channel_), channel_.byteLength, changetype<usize>(data), data.byteLength, changetype<usize>(tags_), tags_.byteLength));
  }

  /**
   * Ends subscriptions to a channel. It is carried out soon after: who is not there is no error. It needs allow.unsubscribe.
   * user: May be empty or 0. All sessions of this user,
   * client: May be empty or 0. or this session; one of both must be there.
   */
  export function unsubscribe(user: string, client: string, channel: string): Outcome {
    const user_ = utf8(user);
    const client_ = utf8(client);
    const channel_ = utf8(channel);
    return new Outcome(host_server_unsubscribe(changetype<usize>(user_), user_.byteLength, changetype<usize>(client_), client_.byteLength, changetype<usize>(channel_), channel_.byteLength));
  }

  /**
   * Ends sessions. It is carried out soon after: who is not there is no error. It needs allow.disconnect.
   * user: May be empty or 0. All sessions of this user,
   * client: May be empty or 0. or this session; one of both must be there.
   * code: May be empty or 0. 3000 to 4999; 0: 3503, force no reconnect.
   * reason: May be empty or 0. For the client.
   */
  export function disconnect(user: string = "", client: string = "", code: i64 = 0, reason: string = ""): Outcome {
    const user_ = utf8(user);
    const client_ = utf8(client);
    const reason_ = utf8(reason);
    return new Outcome(host_server_disconnect(changetype<usize>(user_), user_.byteLength, changetype<usize>(client_), client_.byteLength, code, changetype<usize>(reason_), reason_.byteLength));
  }
}

/** The functions jwt_… of the server. */
export namespace jwt {
  /**
   * Verifies a token's signature, and exp, nbf and iat if it has them. Of a token that is not good, the failure says why. It needs allow.jwt.
   * key: One of the plugin's keys in the configuration; it fixes the algorithm.
   * Result 0: claims (json).
   */
  export function verify(token: string, key: string): Outcome {
    const token_ = utf8(token);
    const key_ = utf8(key);
    return new Outcome(host_jwt_verify(changetype<usize>(token_), token_.byteLength, changetype<usize>(key_), key_.byteLength));
  }

  /**
   * Signs claims, which it leaves as they are: set exp yourself. It needs allow.jwt.
   * claims: An object.
   * key: One of the plugin's keys in the configuration; it fixes the algorithm.
   * Result 0: token (text).
   */
  export function sign(claims: string, key: string): Outcome {
    const claims_ = utf8(claims);
    const key_ = utf8(key);
    return new Outcome(host_jwt_sign(changetype<usize>(claims_), claims_.byteLength, changetype<usize>(key_), key_.byteLength));
  }
}

/** The functions password_… of the server. */
export namespace password {
  /**
   * Makes a salted hash to be stored instead of a password (argon2id). It takes tens of milliseconds: give the plugin a longer deadline. It needs allow.password.
   * password: At most 1024 bytes.
   * Result 0: hash (text). A text such as $argon2id$v=19$m=19456,t=2,p=1$…$…
   */
  export function hash(password: string): Outcome {
    const password_ = utf8(password);
    return new Outcome(host_password_hash(changetype<usize>(password_), password_.byteLength));
  }

  /**
   * Says whether a password is the one that was hashed. It takes as long. It needs allow.password.
   * password: At most 1024 bytes.
   * hash: A text such as $argon2id$v=19$m=19456,t=2,p=1$…$…
   * Result 0: right (bool).
   */
  export function verify(password: string, hash: string): Outcome {
    const password_ = utf8(password);
    const hash_ = utf8(hash);
    return new Outcome(host_password_verify(changetype<usize>(password_), password_.byteLength, changetype<usize>(hash_), hash_.byteLength));
  }
}

/** The functions metric_… of the server. */
export namespace metric {
  /**
   * Adds to a counter, which is zenconn_plugin_metric_total with the plugin and this name as labels.
   * name: Lower-case letters, digits and _; a plugin has at most 100 of them.
   * number: May be empty or 0. Not negative; 0: 1.
   */
  export function add(name: string, number: i64 = 0): Outcome {
    const name_ = utf8(name);
    return new Outcome(host_metric_add(changetype<usize>(name_), name_.byteLength, number));
  }
}

/** The functions random_… of the server. */
export namespace random {
  /**
   * Makes random bytes, good enough for keys.
   * number: At most 1024.
   * Result 0: bytes (bytes).
   */
  export function bytes(number: i64): Outcome {
    return new Outcome(host_random_bytes(number));
  }
}

// @ts-ignore: a decorator
@external("hook_v1", "kv_get")
declare function host_kv_get(key: usize, key_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "kv_set")
declare function host_kv_set(key: usize, key_len: i32, value: usize, value_len: i32, ttl: i64): i32;

// @ts-ignore: a decorator
@external("hook_v1", "kv_cas")
declare function host_kv_cas(key: usize, key_len: i32, value: usize, value_len: i32, revision: i64, ttl: i64): i32;

// @ts-ignore: a decorator
@external("hook_v1", "kv_delete")
declare function host_kv_delete(key: usize, key_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "http_request")
declare function host_http_request(method: usize, method_len: i32, url: usize, url_len: i32, headers: usize, headers_len: i32, body: usize, body_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "server_publish")
declare function host_server_publish(channel: usize, channel_len: i32, data: usize, data_len: i32, tags: usize, tags_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "server_unsubscribe")
declare function host_server_unsubscribe(user: usize, user_len: i32, client: usize, client_len: i32, channel: usize, channel_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "server_disconnect")
declare function host_server_disconnect(user: usize, user_len: i32, client: usize, client_len: i32, code: i64, reason: usize, reason_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "jwt_verify")
declare function host_jwt_verify(token: usize, token_len: i32, key: usize, key_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "jwt_sign")
declare function host_jwt_sign(claims: usize, claims_len: i32, key: usize, key_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "password_hash")
declare function host_password_hash(password: usize, password_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "password_verify")
declare function host_password_verify(password: usize, password_len: i32, hash: usize, hash_len: i32): i32;

// @ts-ignore: a decorator
@external("hook_v1", "metric_add")
declare function host_metric_add(name: usize, name_len: i32, number: i64): i32;

// @ts-ignore: a decorator
@external("hook_v1", "random_bytes")
declare function host_random_bytes(number: i64): i32;

// end of what is generated

/** Where values are read to. A plugin's calls come one after the other. */
let buffer = new ArrayBuffer(1024);

/** Makes room for what is longer than the buffer. */
function grow(length: i32): void {
  buffer = new ArrayBuffer(length);
}

/** Reads a field into the buffer and returns its length; -1 without a value. */
function readField(field: i32): i32 {
  while (true) {
    const n = host_get(field, changetype<usize>(buffer), buffer.byteLength);
    if (n == -2) fail("this event has no field " + field.toString());
    if (n <= buffer.byteLength) return n;
    grow(n);
  }
}

function readResult(index: i32): i32 {
  while (true) {
    const n = host_result(index, changetype<usize>(buffer), buffer.byteLength);
    if (n <= buffer.byteLength) return max(n, 0);
    grow(n);
  }
}

function readText(field: i32): string {
  const n = readField(field);
  return n <= 0 ? "" : String.UTF8.decodeUnsafe(changetype<usize>(buffer), n);
}

function readBytes(field: i32): ArrayBuffer {
  return buffer.slice(0, max(readField(field), 0));
}

function readInt(field: i32): i64 {
  return readField(field) == 8 ? load<i64>(changetype<usize>(buffer)) : 0;
}

/** 1, 0, or -1 without a value. */
function readFlag(field: i32): i32 {
  return readField(field) == 1 ? load<u8>(changetype<usize>(buffer)) : -1;
}

function readHeader(name: string): string {
  writeText(Field.header, name);
  return readText(Field.header);
}

function write(field: i32, at: usize, length: i32): void {
  const status = host_set(field, at, length);
  if (status == -2) fail("this event has no field that can be written with the number " + field.toString());
  if (status != 0) fail("this is no value for the field " + field.toString());
}

function writeText(field: i32, text: string): void {
  writeBytes(field, utf8(text));
}

function writeBytes(field: i32, b: ArrayBuffer): void {
  write(field, changetype<usize>(b), b.byteLength);
}

function writeInt(field: i32, n: i64): void {
  store<i64>(changetype<usize>(buffer), n);
  write(field, changetype<usize>(buffer), 8);
}

function writeBool(field: i32, b: bool): void {
  store<u8>(changetype<usize>(buffer), b ? 1 : 0);
  write(field, changetype<usize>(buffer), 1);
}

/** JSON: values are read where they stand. What is not JSON has no fields and no elements. */
export namespace json {
  function space(s: string, i: i32): i32 {
    while (i < s.length && isSpace(s.charCodeAt(i))) i++;
    return i;
  }

  function isSpace(c: i32): bool {
    return c == 32 || (c >= 9 && c <= 13);
  }

  /** Where the value that begins at i ends; -1 if there is none. */
  function end(s: string, i: i32): i32 {
    let depth = 0;
    do {
      i = space(s, i);
      if (i >= s.length) return -1;
      const c = s.charCodeAt(i);
      if (c == 0x22) {
        for (i++; i < s.length && s.charCodeAt(i) != 0x22; i++) if (s.charCodeAt(i) == 0x5c) i++;
        if (i++ >= s.length) return -1;
      } else if (c == 0x7b || c == 0x5b) {
        depth++;
        i++;
      } else if (c == 0x7d || c == 0x5d || c == 0x2c || c == 0x3a) {
        if (depth == 0) return -1;
        if (c == 0x7d || c == 0x5d) depth--;
        i++;
      } else {
        while (i < s.length && !isSpace(s.charCodeAt(i)) && !",:}]\"".includes(s.charAt(i))) i++;
      }
    } while (depth > 0);
    return i;
  }

  /** The value of a field of an object, as JSON; empty when there is none. The name must be written without escapes. */
  export function field(object: string, name: string): string {
    let i = space(object, 0);
    if (i >= object.length || object.charCodeAt(i) != 0x7b) return "";
    do {
      const key = space(object, i + 1);
      const after = end(object, key);
      if (after < 0 || object.charCodeAt(key) != 0x22) return "";
      i = space(object, after);
      if (i >= object.length || object.charCodeAt(i) != 0x3a) return "";
      const value = space(object, i + 1);
      i = end(object, value);
      if (i < 0) return "";
      if (object.substring(key + 1, after - 1) == name) return object.substring(value, i);
      i = space(object, i);
    } while (i < object.length && object.charCodeAt(i) == 0x2c);
    return "";
  }

  /** The elements of an array, as JSON. */
  export function items(array: string): string[] {
    const all: string[] = [];
    let i = space(array, 0);
    if (i >= array.length || array.charCodeAt(i) != 0x5b) return all;
    do {
      const item = space(array, i + 1);
      i = end(array, item);
      if (i < 0) return all;
      all.push(array.substring(item, i));
      i = space(array, i);
    } while (i < array.length && array.charCodeAt(i) == 0x2c);
    return all;
  }

  /** What a JSON string says; empty if the value is none. */
  export function text(value: string): string {
    if (value.length < 2 || value.charCodeAt(0) != 0x22) return "";
    if (!value.includes("\\")) return value.substring(1, value.length - 1);
    const last = value.length - 1;
    const plain: string[] = [];
    let from = 1;
    for (let i = 1; i < last; i++) {
      if (value.charCodeAt(i) != 0x5c) continue;
      plain.push(value.substring(from, i++));
      const c = value.charCodeAt(i);
      const at = "bfnrt".indexOf(value.charAt(i));
      if (c == 0x75) {
        plain.push(String.fromCharCode(<i32>parseInt(value.substring(i + 1, i + 5), 16)));
        i += 4;
      } else {
        plain.push(at >= 0 ? "\b\f\n\r\t".charAt(at) : value.charAt(i));
      }
      from = i + 1;
    }
    if (from < last) plain.push(value.substring(from, last));
    return plain.join("");
  }

  /** A text as a JSON string, with its quotation marks. */
  export function quote(text: string): string {
    const quoted = ['"'];
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c >= 32 && c != 0x22 && c != 0x5c) continue;
      quoted.push(text.substring(from, i));
      quoted.push(c < 32 ? "\\u" + c.toString(16).padStart(4, "0") : "\\" + text.charAt(i));
      from = i + 1;
    }
    quoted.push(text.substring(from));
    quoted.push('"');
    return quoted.join("");
  }
}
