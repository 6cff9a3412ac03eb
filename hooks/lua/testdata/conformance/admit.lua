function on_connect(ev)
  ev.user = "u:" .. ev.token
  ev.info = json.encode({vip = true})
  ev.expire_at = 1900000000
  ev.data = '{"hello":1}'
  ev:subscribe("news")
  ev:grant{channels = {"room:*"}, match = "wildcard", allow = {"sub", "pub"}}
  if ev.token == "badjson" then ev.info = "{" end
  return true
end
