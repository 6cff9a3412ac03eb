-- Refuses one user and softens one word.
function on_connect(ev)
  if ev.user == "mallory" then
    return false, 403, "mallory is not welcome here"
  end
end

function on_publish(ev)
  ev.data = ev.data:gsub("darn", "d**n")
end
