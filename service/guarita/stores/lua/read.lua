-- ARGV: rest of the id, 1 if marks of subjects lie here. Returns the record, or nil.
local record = fetch()
if record and of_revoked_subject(record, ARGV[2]) then record = with_flag(record, REVOKED) end
return record
