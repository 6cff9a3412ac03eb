function on_publish(ev)
  ev.data = table.concat({ev.channel, ev.client, ev.user, ev.info, ev.name, ev.version, ev.remote_addr, ev.transport, ev.protocol,
    ev.user_agent, ev:header("X-Test"), ev.id, ev.data, ev.tags.a}, "|")
end
