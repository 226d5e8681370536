-- ARGV: rest of the id, SHA-256 of the attempt and of the token, session ttl and replay window,
-- both in seconds, 1 if another attempt revokes the session, the id, 1 if marks of subjects lie here.
-- Returns the outcome and the record.
-- Safe to repeat: the attempt that was admitted is told so again, any other is refused.
local function refuse(outcome, record)
  tally('total_refused')
  return {outcome, record}
end

local record = fetch()
if not record then return refuse('unknown') end
if flag(record, REVOKED) or of_revoked_subject(record, ARGV[8]) then
  return refuse('revoked', with_flag(record, REVOKED))
end

if flag(record, USED) then
  local used_ms = struct.unpack('>I6', record, 13)
  local same = string.sub(record, 23, 54) == ARGV[2] and string.sub(record, 55, 86) == ARGV[3]
  if same and now_ms > session_expires_s(record) * 1000 then return refuse('expired', record) end
  if same and now_ms - used_ms <= tonumber(ARGV[5]) * 1000 then
    tally('total_repeated')
    return {'replayed', record}
  end
  if not same and ARGV[6] == '1' then
    count_revoked(record_expires_s(record), true)
    record = with_flag(record, REVOKED)
    save(record)
    announce(ARGV[7])
  end
  return refuse('used', record)
end

-- A primary was found to lack acknowledged writes: this ticket may have been used in them.
if created_us(record) <= counter(DOUBTED_US) then
  return refuse('doubted', record)
end

-- A primary whose clock is behind may still hold a ticket that is over by its own words.
if now_ms > ticket_expires_s(record) * 1000 then return refuse('expired', record) end
local from_s = record_expires_s(record)
record = string.sub(with_flag(record, USED), 1, TICKET)
  .. struct.pack('>I6I4', now_ms, expiry_s(tonumber(ARGV[4])))
  .. ARGV[2] .. ARGV[3] .. string.sub(record, TICKET + 1)
save(record)
tally('total_used')
count_used(from_s, record_expires_s(record))
return {'admitted', record}
