function on_publish(ev)
  if ev.data == "redirect" then ev.redirect = "room:2" end
  if ev.data == "expire" then ev.expire_at = 1900000000 end
  if ev.data == "skip" then ev.skip_history = true end
  if ev.data == "exclude" then ev.exclude_sender = true end
  if ev.data == "include" then ev.exclude_sender = false end
end
