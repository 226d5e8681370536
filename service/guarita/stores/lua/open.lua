-- ARGV: rest of the id, 1 if marks of subjects lie here. Notes that the page of a ticket was opened.
-- Returns the record, or nil.
local record = fetch()
if record and not (flag(record, OPENED) or flag(record, USED) or flag(record, REVOKED)) then
  record = with_flag(record, OPENED)
  save(record)
end
if record and of_revoked_subject(record, ARGV[2]) then record = with_flag(record, REVOKED) end
return record
