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
