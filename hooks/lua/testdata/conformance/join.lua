function on_subscribe(ev)
  ev.info = '{"seat":1}'
  ev.data = json.encode({welcome = ev.channel})
  ev.expire_at = 1900000000
  ev.presence = true
  ev.join_leave = false
  ev:grant{allow = {"pub"}}
  return true
end
