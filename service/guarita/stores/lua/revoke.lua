-- ARGV: rest of the id, '1' and the tenant that it must belong to, or '0' and anything, the id.
-- Returns 1 if it is revoked now.
-- The tombstone stays until its expiry but counts no more.
local record = fetch()
tally('total_revokes')
if not record then return 0 end
local used = flag(record, USED)
local tenant = string.match(record, '^[^\n]*', (used and SESSION or TICKET) + 1)
if ARGV[2] == '1' and tenant ~= ARGV[3] then return 0 end
if not flag(record, REVOKED) then
  count_revoked(record_expires_s(record), used)
  save(with_flag(record, REVOKED))
end
announce(ARGV[4])
return 1
