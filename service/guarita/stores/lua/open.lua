-- Notes that the page of a ticket was opened. Returns the record, or nil.
local record = redis.call('GET', KEYS[1])
if record and not (flag(record, OPENED) or flag(record, USED) or flag(record, REVOKED)) then
  record = with_flag(record, OPENED)
  save(record)
end
return record
