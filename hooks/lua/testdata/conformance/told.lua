function on_unsubscribe(ev)
  assert(ev.channel == "room:1")
  return on_disconnect(ev)
end

function on_disconnect(ev)
  assert(ev.code == 2500 and ev.reason == "insufficient state" and ev.user == "alice")
  return false
end
