function on_rpc(ev)
  if ev.method == "shout" then return true, string.upper(ev.data) end
  if ev.method == "forbidden" then return false, 451, "not in this country" end
end

function on_publish(ev)
  if string.find(ev.data, "unspeakable", 1, true) then return false, 400, "mind your words" end
  if string.find(ev.data, "darn", 1, true) then
    ev.data = string.gsub(ev.data, "darn", "****")
    return true
  end
end

function on_subscribe(ev)
  if ev.channel == "secret-club" then return false, 4001, "members only" end
  if ev.channel == "no-entry" then return false, 403, "no entry" end
end
