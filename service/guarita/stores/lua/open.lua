-- ARGV: rest of the id. Notes that the page of a ticket was opened. Returns the record, or nil.
local record = fetch()
if record and not (flag(record, OPENED) or flag(record, USED) or flag(record, REVOKED)) then
  record = with_flag(record, OPENED)
  save(record)
end
return record
