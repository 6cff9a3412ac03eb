function on_refresh(ev)
  if ev.token == "no" then return false, 3500 end
  if ev.token == "pass" then return end
  ev.expire_at = ev.expire_at + 100
  ev.info = json.encode({at = ev.channel or "session"})
  if ev.token == "bad" then ev.info = "{" end
  return true
end
