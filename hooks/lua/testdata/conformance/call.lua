function on_rpc(ev)
  if ev.method == "echo" then return true, ev.data end
  if ev.method == "bad" then ev.reply = "not json" return true end
  if ev.method == "refuse" then return false, 404, "no such thing" end
  if ev.method == "empty" then return true end
end
