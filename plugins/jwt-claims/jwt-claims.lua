-- Makes of a verified token's claims who a client is, what others see of it, what it may do, and for how long. See the README.

local known = {}
for _, name in ipairs({ "key", "user", "info", "grants", "subscribe", "require", "anonymous" }) do
  known[name] = true
end
for name in pairs(config) do
  assert(known[name], "config." .. name .. " is unknown")
end

local key = config.key or "main"
local user_claim = config.user or "sub"
local allowed = { sub = true, pub = true, prs = true, hst = true, brd = true }

assert(config.info == nil or type(config.info) == "table", "config.info must be names of claims: {name: name, avatar: picture}")

local function check_entry(what, entry, fields)
  assert(type(entry) == "table" and type(entry.channels) == "table" and #entry.channels > 0, what .. ".channels must be a list of names")
  assert(entry.when == nil or type(entry.when) == "table", what .. ".when must be an object of claims")
  for name in pairs(entry) do
    assert(fields[name], what .. "." .. name .. " is unknown")
  end
end

for i, g in ipairs(config.grants or {}) do
  local what = "config.grants[" .. i - 1 .. "]"
  check_entry(what, g, { channels = true, match = true, allow = true, when = true })
  assert(type(g.allow) == "table" and #g.allow > 0, what .. ".allow must be a list of sub, pub, prs, hst and brd")
  for _, right in ipairs(g.allow) do
    assert(allowed[right], what .. ".allow has " .. tostring(right) .. "; there are sub, pub, prs, hst and brd")
  end
  assert(g.match == nil or g.match == "wildcard", what .. ".match is wildcard, or absent for exact names")
end
local subscription_fields = { channels = true, when = true, presence = true, join_leave = true, recovery = true }
for i, s in ipairs(config.subscribe or {}) do
  check_entry("config.subscribe[" .. i - 1 .. "]", s, subscription_fields)
end

-- claim returns what is at a path such as realm.roles, or nil.
local function claim(claims, path)
  local value = claims
  for _, name in ipairs(strings.split(path, ".")) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[name]
  end
  if value == json.null then
    return nil
  end
  return value
end

-- texts makes a list of texts of a claim: of a text or a number itself, of a list what is in it.
local function texts(value)
  local list = {}
  for _, v in ipairs(type(value) == "table" and value or { value }) do
    if type(v) == "number" and v % 1 == 0 and math.abs(v) < 2 ^ 53 then
      list[#list + 1] = ("%d"):format(v)
    elseif type(v) == "string" and v ~= "" then
      list[#list + 1] = v
    end
  end
  return list
end

-- holds says whether each claim is, or a list has in it, what is wanted.
local function holds(claims, wanted)
  for path, want in pairs(wanted or {}) do
    local found, value = false, claim(claims, path)
    if type(value) ~= "table" then
      found = value == want
    else
      for _, v in ipairs(value) do
        found = found or v == want
      end
    end
    if not found then
      return false
    end
  end
  return true
end

-- expand puts claims into a name: of {rooms} in it, each of the claim's texts makes a name. Without the claim there is none. In
-- patterns, a claim that has a * in it is left out: it would mean more than itself.
local function expand(claims, name, pattern, names)
  local before, path, after = name:match("^(.-){([^{}]*)}(.*)$")
  if not before then
    names[#names + 1] = name
    return
  end
  for _, text in ipairs(texts(claim(claims, path))) do
    if pattern and strings.contains(text, "*") then
      log.warn("a claim with a * in it is left out of a pattern")
    else
      -- What was put in is not looked at again, so that no claim is expanded.
      local rest = {}
      expand(claims, after, pattern, rest)
      for _, tail in ipairs(rest) do
        names[#names + 1] = before .. text .. tail
      end
    end
  end
end

local function channels(claims, entry)
  local names = {}
  for _, name in ipairs(entry.channels) do
    expand(claims, name, entry.match == "wildcard", names)
  end
  return names
end

-- info makes what others see, or nil.
local function info(claims)
  local shown
  for name, path in pairs(config.info or {}) do
    local value = claim(claims, path)
    if value ~= nil then
      shown = shown or {}
      shown[name] = value
    end
  end
  return shown and json.encode(shown)
end

-- verified returns the claims of a good token and its user, or code and reason of a denial.
local function verified(token)
  local claims, why = jwt.verify(token, key)
  if not claims then
    if strings.contains(why, "has expired") then
      return nil, 109, "token expired"
    elseif strings.contains(why, "the token") then
      return nil, 3500, "invalid token"
    end
    error(why)
  end
  local user = texts(claim(claims, user_claim))[1]
  if not user or not holds(claims, config.require) then
    return nil, 3500, "this token is not for this server"
  end
  return claims, user
end

local function expiry(claims)
  return type(claims.exp) == "number" and math.floor(claims.exp) or 0
end

function on_connect(ev)
  if ev.token == "" then
    if config.anonymous then
      return true
    end
    return false, 3500, "a token is needed"
  end
  local claims, user, reason = verified(ev.token)
  if not claims then
    return false, user, reason
  end
  ev.user, ev.info, ev.expire_at = user, info(claims), expiry(claims)
  for _, grant in ipairs(config.grants or {}) do
    local names = holds(claims, grant.when) and channels(claims, grant) or {}
    if #names > 0 then
      ev:grant({ channels = names, match = grant.match, allow = grant.allow })
    end
  end
  for _, s in ipairs(config.subscribe or {}) do
    for _, name in ipairs(holds(claims, s.when) and channels(claims, s) or {}) do
      ev:subscribe(name, { presence = s.presence, join_leave = s.join_leave, recovery = s.recovery })
    end
  end
  return true
end

function on_refresh(ev)
  if ev.channel then
    return -- Subscriptions are not this plugin's.
  end
  local claims, user, reason = verified(ev.token)
  if not claims then
    return false, user, reason
  end
  if user ~= ev.user then
    return false, 3500, "this token is another user's"
  end
  ev.expire_at = expiry(claims)
  ev.info = info(claims) or ev.info
  return true
end
