function on_connect(ev)
  if ev.user == "Mallory" then return false, 4500, "Mallory is not welcome here" end
  if ev.user == "Trudy" then return false, 403, "Trudy listens too much" end
end

function on_subscribe(ev)
  if ev.channel == "room-staff" then return false, 403, "staff only" end
end

function on_publish(ev)
  if string.find(ev.data, "unspeakable", 1, true) then return false, 400, "mind your words" end
  ev.data = string.gsub(ev.data, "darn", "****")
end
