function on_channel(ev)
  if ev.channel == "room:secret" then return false end
  if ev.namespace == "other" then return end
  if ev.channel == "room:forever" then ev.history_size = 50 return end
  ev.subscribe = ev.channel == "room:bad" and "everyone" or "granted"
  ev.publish = "anyone"
  ev.presence, ev.join_leave, ev.recovery, ev.exclude_sender = true, true, true, true
  ev.history_size, ev.history_ttl = 50, 90
  ev.slow_consumer = "disconnect"
end
