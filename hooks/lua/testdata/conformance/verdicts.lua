function on_publish(ev)
  local what = ev.data
  if what == "allow" then return true end
  if what == "pass" then return nil end
  if what == "deny" then return false end
  if what == "code" then return false, 106 end
  if what == "disconnect" then return false, 3503 end
  if what == "reason" then return false, "because" end
  if what == "both" then return false, 403, "because" end
  if what == "drop" then return "drop" end
  if what == "fault" then error("oops") end
  if what == "range" then return false, 2500 end
  if what == "garbage" then return 7 end
end
