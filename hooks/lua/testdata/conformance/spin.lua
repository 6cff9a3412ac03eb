function on_publish(ev)
  while ev.data == "spin" do pcall(function() while true do end end) end
  return true
end
