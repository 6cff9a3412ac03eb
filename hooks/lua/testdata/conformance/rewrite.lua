function on_publish(ev)
  local what = ev.data
  ev.tags = {lang = "en"}
  ev.data = "written"
  if what == "fault" then error("oops") end
  if what == "allow" then return true end
end
