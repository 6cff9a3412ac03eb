function on_send(ev)
  if ev.data == "ok" then return true end
  if ev.data == "no" then return false, 3503 end
end
