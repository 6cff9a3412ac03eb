local function outcome(results, ...)
  local first, second = ...
  if first == nil then
    if second then
      return { failed = second }
    end
    return { absent = true }
  end
  local list = json.array()
  for i = 1, results do
    local value = select(i, ...)
    if type(value) == "string" then
      value = strings.to_hex(value)
    end
    list[i] = value
  end
  return { results = list }
end

local counts = {
  kv_get = 2, kv_set = 1, kv_cas = 1, kv_delete = 0, http_request = 3, server_publish = 0, server_unsubscribe = 0, server_disconnect = 0,
  jwt_verify = 1, jwt_sign = 1, password_hash = 1, password_verify = 1, metric_add = 0, random_bytes = 1,
}
local libraries = { kv = kv, http = http, server = server, jwt = jwt, password = password, metric = metric, random = random }

local loaded
if config.probe then
  loaded = outcome(2, kv.get("x"))
end

local function call(name, args, first)
  local library, f = name:match("^(%a+)_(%a+)$")
  local values = {}
  for i = first, #args do
    if args[i] ~= json.null then
      values[i - first + 1] = args[i]
    end
  end
  return outcome(counts[name], libraries[library][f](values[1], values[2], values[3], values[4]))
end

function on_rpc(ev)
  local args = json.decode(ev.data)
  if ev.method == "loaded" then
    return true, json.encode(loaded)
  end
  if ev.method == "flood" then
    while true do
      call(args[1], args, 2)
    end
  end
  return true, json.encode(call(ev.method, args, 1))
end

function on_audit(ev)
  local _, why = server.publish("room:1", "{}")
  ev.reason = why
end

function on_channel(ev)
  local _, why = server.publish("room:1", "{}")
  return false, why
end
