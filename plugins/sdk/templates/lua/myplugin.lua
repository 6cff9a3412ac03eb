-- May this go out, and what does it say?
---@param ev zenconn.PublishEvent
function on_publish(ev)
  if #ev.data > 1000 then
    return false, 106, "keep it short"
  end
end
