---@meta zenconn

-- What a ZenConn plugin sees, for the Lua language server. Put this folder into workspace.library and say which event a function
-- gets:
--
--     ---@param ev zenconn.PublishEvent
--     function on_publish(ev)
--
-- This file is never run. A test holds it to the server's own tables of fields.

---What every event has that a client is the cause of.
---@class zenconn.ClientEvent
---@field client string The session's identifier.
---@field user string Who it is; empty when anonymous.
---@field info string? What others see about the connection; JSON.
---@field name string What the client calls itself.
---@field version string
---@field remote_addr string Its IP address.
---@field transport string
---@field protocol "json"|"protobuf"
---@field user_agent string
---@field header fun(self: zenconn.ClientEvent, name: string): string A header of the handshake request; empty when absent, and always so after connect.

---What a subscription may have.
---@class zenconn.SubscriptionOptions
---@field info string? Shown to others in the channel; JSON.
---@field data string? For the client; JSON.
---@field expire_at integer? Seconds since 1970; 0: never.
---@field presence boolean? nil: as the channel.
---@field join_leave boolean? nil: as the channel.
---@field recovery boolean? nil: as the channel.

---@alias zenconn.Permission "sub"|"pub"|"prs"|"hst"|"brd"

---@class zenconn.Grant
---@field channels string[]? Not in on_subscribe, where it is the event's channel.
---@field match "wildcard"|"regex"|nil Absent: exact names.
---@field allow zenconn.Permission[]

---May this client connect, and who is it?
---@class zenconn.ConnectEvent: zenconn.ClientEvent
---@field token string
---@field user string (writable)
---@field info string? (writable) JSON.
---@field expire_at integer (writable) Seconds since 1970; 0: never.
---@field data string? (writable) What the client sent; written, what it gets in the reply.
---@field subscribe fun(self: zenconn.ConnectEvent, channel: string, options?: zenconn.SubscriptionOptions) Subscribes it from the server's side.
---@field grant fun(self: zenconn.ConnectEvent, grant: zenconn.Grant) Gives rights for the whole session.

---May this session, or its subscription, live longer?
---@class zenconn.RefreshEvent: zenconn.ClientEvent
---@field channel string? The subscription; nil: the session.
---@field token string
---@field expire_at integer (writable) Seconds since 1970; 0: never.
---@field info string? (writable) What others see from now on; JSON.

---May it join the channel?
---@class zenconn.SubscribeEvent: zenconn.ClientEvent
---@field channel string
---@field info string? (writable) Shown to others in this channel; JSON.
---@field data string? (writable) What the client sent; written, what it gets.
---@field expire_at integer (writable) Seconds since 1970; 0: never.
---@field presence boolean? (writable) nil: as the channel.
---@field join_leave boolean? (writable) nil: as the channel.
---@field recovery boolean? (writable) nil: as the channel.
---@field grant fun(self: zenconn.SubscribeEvent, grant: zenconn.Grant) Gives rights in this channel while the subscription lasts.

---@alias zenconn.Rule "nobody"|"granted"|"user"|"anyone"

---What are the options of a channel with this name? No client is the cause.
---@class zenconn.ChannelEvent
---@field channel string
---@field namespace string
---@field subscribe zenconn.Rule (writable)
---@field publish zenconn.Rule (writable)
---@field presence boolean (writable)
---@field join_leave boolean (writable)
---@field history_size integer (writable)
---@field history_ttl number (writable) Seconds.
---@field recovery boolean (writable)
---@field exclude_sender boolean (writable)
---@field slow_consumer "disconnect"|"drop_oldest"|"conflate" (writable)

---May it publish, what goes out, and where?
---@class zenconn.PublishEvent: zenconn.ClientEvent
---@field channel string
---@field id string Of the message, as in the audit.
---@field data string (writable)
---@field tags table<string, string> (writable) Replaced as a whole.
---@field redirect string? (writable) The channel it goes to instead.
---@field expire_at integer (writable) Seconds since 1970 from which on the history no longer shows it; 0: as long as it is kept.
---@field skip_history boolean (writable)
---@field exclude_sender boolean? (writable) nil: as the channel.

---What is the answer?
---@class zenconn.RPCEvent: zenconn.ClientEvent
---@field method string
---@field data string?
---@field reply string? (writable)

---A one-way message.
---@class zenconn.SendEvent: zenconn.ClientEvent
---@field data string?

---It has left the channel.
---@class zenconn.UnsubscribeEvent: zenconn.ClientEvent
---@field channel string
---@field code integer 0: the client asked for it; 1: the session ended; from 2000: the code it was told.
---@field reason string

---The session has ended.
---@class zenconn.DisconnectEvent: zenconn.ClientEvent
---@field code integer
---@field reason string

---What of this event may be stored? No client is the cause.
---@class zenconn.AuditEvent
---@field kind "message"|"session"|"decision"|"action"
---@field channel string
---@field hook string Of decisions.
---@field action string Of actions.
---@field user string (writable)
---@field payload string? (writable)
---@field tags table<string, string> (writable) Replaced as a whole.
---@field remote_addr string (writable) An IP address, or empty.
---@field reason string (writable)

---The plugin's configuration; read-only.
---@type table<string, any>
config = {}

json = {}

---JSON's null.
json.null = {}

---@param text string
---@return any
function json.decode(text) end

---@param value any
---@return string
function json.encode(value) end

---Marks a table as an array, for one that may be empty; without an argument, makes an empty one.
---@param elements? table
---@return table
function json.array(elements) end

log = {}

---@param text string
function log.info(text) end

---@param text string
function log.warn(text) end

---@param text string
function log.error(text) end

time = {}

---@return integer milliseconds Since 1970.
function time.now() end

---@return integer seconds Since 1970.
function time.seconds() end

---@param milliseconds number Since 1970.
---@return string text As in 2026-01-31T12:00:00.000Z.
function time.format(milliseconds) end

---@param text string As in 2026-01-31T12:00:00Z, with any offset from UTC.
---@return integer? milliseconds Since 1970; nil: it is no such text.
function time.parse(text) end

strings = {}

---@param text string
---@param prefix string
---@return boolean
function strings.starts_with(text, prefix) end

---@param text string
---@param suffix string
---@return boolean
function strings.ends_with(text, suffix) end

---@param text string
---@param part string
---@return boolean
function strings.contains(text, part) end

---Cuts a text at every separator, which is no pattern.
---@param text string
---@param separator string
---@return string[]
function strings.split(text, separator) end

---Without white space at both ends.
---@param text string
---@return string
function strings.trim(text) end

---The SHA-256 of a text, in hexadecimal.
---@param bytes string
---@return string
function strings.sha256(bytes) end

---@param bytes string
---@return string
function strings.to_hex(bytes) end

---@param text string
---@return string? bytes nil: it is not hexadecimal.
function strings.from_hex(text) end

---@param bytes string
---@return string
function strings.to_base64(bytes) end

---Reads both alphabets, with padding and without.
---@param text string
---@return string? bytes nil: it is not base64.
function strings.from_base64(text) end

-- The functions of the server. A function that could not do its work returns nil and why.
-- Generated from hooks/host from here on: change it there, then run `go generate ./hooks/host`.

kv = {}

---Reads a value that this plugin has stored, here or on another node. It needs allow.kv.
---@param key string 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
---@return string? value nil: the key has no value.
---@return integer|string|nil revision Or why it could not be done.
function kv.get(key) end

---Stores a value, whatever was there before. It needs allow.kv.
---@param key string 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
---@param value string At most 64 KiB.
---@param ttl? number Seconds. How long it is kept; 0: for ever.
---@return integer? revision
---@return string? reason Why it could not be done.
function kv.set(key, value, ttl) end

---Stores a value if nobody else has since the revision was read (compare and swap). It needs allow.kv.
---@param key string 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
---@param value string At most 64 KiB.
---@param revision integer 0: the key must have no value.
---@param ttl? number Seconds. How long it is kept; 0: for ever.
---@return integer? revision nil: the key's revision is another one by now: read it, and try again.
---@return string? reason Why it could not be done.
function kv.cas(key, value, revision, ttl) end

---Removes a value, if there is one. It needs allow.kv.
---@param key string 1 to 255 bytes of UTF-8. Every plugin has keys of its own.
---@return true? done
---@return string? reason Why it could not be done.
function kv.delete(key) end

http = {}

---Asks a web server, and waits for the answer, whatever its status is. It needs allow.http.
---@param method string GET, POST and so on.
---@param url string Its host must be in allow.http.
---@param headers? table<string, any> An object of texts.
---@param body? string
---@return integer? status
---@return table<string, any>|string|nil headers Or why it could not be done.
---@return string? body
function http.request(method, url, headers, body) end

server = {}

---Publishes to a channel in the server's name: no rule and no hook is asked. When it returns, the publication is on its way and in the history. It needs allow.publish.
---@param channel string
---@param data string JSON, unless the channel's content is binary.
---@param tags? table<string, any> An object of texts.
---@return true? done
---@return string? reason Why it could not be done.
function server.publish(channel, data, tags) end

---Ends subscriptions to a channel. It is carried out soon after: who is not there is no error. It needs allow.unsubscribe.
---@param user? string All sessions of this user,
---@param client? string or this session; one of both must be there.
---@param channel string
---@return true? done
---@return string? reason Why it could not be done.
function server.unsubscribe(user, client, channel) end

---Ends sessions. It is carried out soon after: who is not there is no error. It needs allow.disconnect.
---@param user? string All sessions of this user,
---@param client? string or this session; one of both must be there.
---@param code? integer 3000 to 4999; 0: 3503, force no reconnect.
---@param reason? string For the client.
---@return true? done
---@return string? reason Why it could not be done.
function server.disconnect(user, client, code, reason) end

jwt = {}

---Verifies a token's signature, and exp, nbf and iat if it has them. Of a token that is not good, the failure says why. It needs allow.jwt.
---@param token string
---@param key string One of the plugin's keys in the configuration; it fixes the algorithm.
---@return table<string, any>? claims
---@return string? reason Why it could not be done.
function jwt.verify(token, key) end

---Signs claims, which it leaves as they are: set exp yourself. It needs allow.jwt.
---@param claims table<string, any> An object.
---@param key string One of the plugin's keys in the configuration; it fixes the algorithm.
---@return string? token
---@return string? reason Why it could not be done.
function jwt.sign(claims, key) end

password = {}

---Makes a salted hash to be stored instead of a password (argon2id). It takes tens of milliseconds: give the plugin a longer deadline. It needs allow.password.
---@param password string At most 1024 bytes.
---@return string? hash
---@return string? reason Why it could not be done.
function password.hash(password) end

---Says whether a password is the one that was hashed. It takes as long. It needs allow.password.
---@param password string At most 1024 bytes.
---@param hash string A text such as $argon2id$v=19$m=19456,t=2,p=1$…$…
---@return boolean? right
---@return string? reason Why it could not be done.
function password.verify(password, hash) end

metric = {}

---Adds to a counter, which is zenconn_plugin_metric_total with the plugin and this name as labels.
---@param name string Lower-case letters, digits and _; a plugin has at most 100 of them.
---@param number? integer Not negative; 0: 1.
---@return true? done
---@return string? reason Why it could not be done.
function metric.add(name, number) end

random = {}

---Makes random bytes, good enough for keys.
---@param number integer At most 1024.
---@return string? bytes
---@return string? reason Why it could not be done.
function random.bytes(number) end
