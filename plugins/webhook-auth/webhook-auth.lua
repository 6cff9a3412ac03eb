-- Asks a web server what clients may do, in the shapes of Centrifugo's proxies. See the README.

local hooks = { "connect", "refresh", "subscribe", "publish", "rpc" }
local fields = { url = true, headers = true, forward = true, cache = true, deny_cache = true, cache_by = true, fail_open = true, only = true }
local ways = {} -- By hook.

for name in pairs(config) do
  local known = fields[name]
  for _, hook in ipairs(hooks) do
    known = known or name == hook
  end
  assert(known, "config." .. name .. " is unknown")
end

local function setting(own, name, default)
  if own[name] ~= nil then
    return own[name]
  elseif config[name] ~= nil then
    return config[name]
  end
  return default
end

-- pattern makes a Lua pattern of a name in which * stands for anything.
local function pattern(name)
  return "^" .. name:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

for _, hook in ipairs(hooks) do
  local own = config[hook]
  if own == true then
    own = {}
  end
  if own then
    local what = "config." .. hook
    assert(type(own) == "table", what .. " must be true, or an object")
    for name in pairs(own) do
      assert(fields[name], what .. "." .. name .. " is unknown")
    end
    local way = {
      url = setting(own, "url"),
      headers = { ["content-type"] = "application/json", accept = "application/json" },
      forward = setting(own, "forward", {}),
      cache = setting(own, "cache", 0),
      deny_cache = setting(own, "deny_cache", 0),
      cache_by = setting(own, "cache_by", {}),
      fail_open = setting(own, "fail_open", false),
      only = {},
    }
    assert(type(way.url) == "string" and way.url:find("^https?://"), what .. ".url must be an address such as https://example.com/connect")
    for name, value in pairs(setting(own, "headers", {})) do
      way.headers[name:lower()] = tostring(value)
    end
    for _, name in ipairs(own.only or {}) do
      way.only[#way.only + 1] = pattern(name)
    end
    assert(type(way.cache) == "number" and type(way.deny_cache) == "number", what .. ".cache and deny_cache are seconds")
    ways[hook] = way
  end
end
assert(next(ways), "config has none of connect, refresh, subscribe, publish and rpc: there is nothing to ask")

-- concerns says whether a channel or method is asked about.
local function concerns(way, name)
  for _, p in ipairs(way.only) do
    if name:find(p) then
      return true
    end
  end
  return #way.only == 0
end

-- key names an answer in the store. It is a hash: neither tokens nor data are stored. Each part is preceded by its length, so that no two
-- different questions have the same.
local function cache_key(ev, hook, way, question)
  local parts = { hook, way.url, question.user or "", question.channel or "", question.method or "", question.token or "" }
  for _, name in ipairs(way.forward) do
    parts[#parts + 1] = ev:header(name)
  end
  for _, name in ipairs(way.cache_by) do
    local value = question[name]
    parts[#parts + 1] = type(value) == "string" and value or json.encode(value == nil and json.null or value)
  end
  for i, part in ipairs(parts) do
    parts[i] = #part .. ":" .. part
  end
  return strings.sha256(table.concat(parts))
end

local function request(ev, way, question)
  local headers = {}
  for name, value in pairs(way.headers) do
    headers[name] = value
  end
  for _, name in ipairs(way.forward) do
    local value = ev:header(name)
    if value ~= "" then
      headers[name:lower()] = value
    end
  end
  local status, why, body = http.request("POST", way.url, headers, json.encode(question))
  if not status then
    return nil, why
  elseif status < 200 or status > 299 then
    return nil, "it answered with status " .. status
  end
  local ok, answer = pcall(json.decode, body)
  if not ok or type(answer) ~= "table" then
    return nil, "its answer is not a JSON object"
  end
  return answer, body
end

-- ask returns the answer, from the store or the web server; nil means that there is none and that this is no reason to deny.
local function ask(ev, hook, question)
  local way = ways[hook]
  local caches = way.cache > 0 or way.deny_cache > 0
  local key = caches and cache_key(ev, hook, way, question)
  local stored = key and kv.get(key)
  if stored then
    metric.add("cached")
    return json.decode(stored)
  end
  metric.add("asked")
  local answer, body = request(ev, way, question)
  if not answer then
    metric.add("failed")
    if way.fail_open then
      log.warn(hook .. ": " .. body)
      return nil
    end
    error(hook .. ": " .. body) -- A fault: on_error and the breaker are for those.
  end
  local ttl = (answer.error or answer.disconnect) and way.deny_cache or way.cache
  if ttl > 0 and #body <= 65536 then
    local _, why = kv.set(key, body, ttl)
    if why then
      log.warn("the answer is not kept: " .. why)
    end
  end
  return answer
end

local function present(value)
  if value ~= json.null then
    return value
  end
end

-- denied returns code and reason of an answer that denies.
local function denied(answer)
  local e = present(answer.disconnect) or present(answer.error)
  if e then
    return tonumber(e.code) or 103, tostring(present(e.reason) or present(e.message) or "")
  end
end

local function question(ev)
  return { client = ev.client, transport = ev.transport, protocol = ev.protocol, encoding = "json", user = ev.user }
end

-- carry puts the client's data into a question: as it is if it is JSON, and else in base64.
local function carry(q, data)
  if data == nil then
    return q
  end
  local ok, decoded = pcall(json.decode, data)
  if ok then
    q.data = decoded
  else
    q.encoding, q.b64data = "binary", strings.to_base64(data)
  end
  return q
end

-- data_of returns what an answer gives the client, as text, or nil.
local function data_of(result)
  if present(result.b64data) then
    return strings.from_base64(result.b64data)
  elseif present(result.data) ~= nil then
    return json.encode(result.data)
  end
end

local function deny(code, reason)
  if reason == "" then
    return false, code
  end
  return false, code, reason
end

-- options are those of a subscription.
local function options(s)
  local o = { expire_at = present(s.expire_at), data = data_of(s) }
  if present(s.info) ~= nil then
    o.info = json.encode(s.info)
  end
  for theirs, ours in pairs({ presence = "presence", join_leave = "join_leave", force_recovery = "recovery" }) do
    local override = type(s.override) == "table" and present(s.override[theirs])
    if override then
      o[ours] = override.value
    end
  end
  return o
end

local handlers = {}

function handlers.connect(ev)
  local q = carry(question(ev), ev.data)
  q.user, q.token, q.name, q.version = nil, ev.token, ev.name, ev.version
  local answer = ask(ev, "connect", q)
  if not answer then
    return
  end
  local code, reason = denied(answer)
  if code then
    return deny(code, reason)
  end
  local result = present(answer.result)
  if not result then
    return -- It has no opinion.
  end
  ev.user = tostring(present(result.user) or "")
  ev.expire_at = present(result.expire_at) or ev.expire_at
  if present(result.info) ~= nil then
    ev.info = json.encode(result.info)
  end
  ev.data = data_of(result) or nil
  for _, channel in ipairs(present(result.channels) or {}) do
    ev:subscribe(channel)
  end
  for channel, s in pairs(present(result.subs) or {}) do
    ev:subscribe(channel, options(s))
  end
  for _, cap in ipairs(present(result.caps) or {}) do
    ev:grant({ channels = cap.channels, match = cap.match ~= "" and present(cap.match) or nil, allow = cap.allow })
  end
  return true
end

function handlers.refresh(ev)
  if ev.channel then
    return
  end
  local q = question(ev)
  q.token = ev.token
  local answer = ask(ev, "refresh", q)
  if not answer then
    return
  end
  local code, reason = denied(answer)
  if code then
    return deny(code, reason)
  end
  local result = present(answer.result)
  if not result then
    return
  elseif result.expired == true then
    return false, 3005, "expired"
  end
  ev.expire_at = present(result.expire_at) or 0
  if present(result.info) ~= nil then
    ev.info = json.encode(result.info)
  end
  return true
end

function handlers.subscribe(ev)
  if not concerns(ways.subscribe, ev.channel) then
    return
  end
  local q = carry(question(ev), ev.data)
  q.channel = ev.channel
  local answer = ask(ev, "subscribe", q)
  if not answer then
    return
  end
  local code, reason = denied(answer)
  if code then
    return deny(code, reason)
  end
  local result = present(answer.result)
  if not result then
    return
  end
  for name, value in pairs(options(result)) do
    ev[name] = value
  end
  if type(result.allow) == "table" and #result.allow > 0 then
    ev:grant({ allow = result.allow })
  end
  return true
end

function handlers.publish(ev)
  if not concerns(ways.publish, ev.channel) then
    return
  end
  local q = carry(question(ev), ev.data)
  q.channel = ev.channel
  local answer = ask(ev, "publish", q)
  if not answer then
    return
  end
  local code, reason = denied(answer)
  if code then
    return deny(code, reason)
  end
  local result = present(answer.result)
  if not result then
    return
  end
  local data = data_of(result)
  if data then
    ev.data = data
  end
  if result.skip_history == true then
    ev.skip_history = true
  end
  return true
end

function handlers.rpc(ev)
  if not concerns(ways.rpc, ev.method) then
    return
  end
  local q = carry(question(ev), ev.data)
  q.method = ev.method
  local answer = ask(ev, "rpc", q)
  if not answer then
    return
  end
  local code, reason = denied(answer)
  if code then
    return deny(code, reason)
  end
  local result = present(answer.result)
  if not result then
    return
  end
  return true, data_of(result) or "null"
end

-- Only what is configured is a hook: the others cost nothing.
on_connect, on_refresh = ways.connect and handlers.connect, ways.refresh and handlers.refresh
on_subscribe, on_publish, on_rpc = ways.subscribe and handlers.subscribe, ways.publish and handlers.publish, ways.rpc and handlers.rpc
