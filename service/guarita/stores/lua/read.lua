-- ARGV: rest of the id. Returns the record, or nil. Only a short one needs this: GET does elsewhere.
local record = fetch()
return record
