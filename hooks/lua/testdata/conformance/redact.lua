function on_audit(ev)
  if ev.kind == "session" then return "drop" end
  if ev.hook == "publish" then return false end
  if ev.action == "start" then error("oops") end
  if ev.kind == "message" and ev.channel == "room:1" and ev.hook == "" and ev.action == "" then
    ev.payload, ev.user, ev.reason = "gone", "someone", "why"
    ev.tags = {a = "x"}
    ev.remote_addr = "192.0.2.0"
  else
    ev.remote_addr = "nowhere"
  end
end
