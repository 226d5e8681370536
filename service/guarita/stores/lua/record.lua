-- Shared by every script: the packed record, and the counters that stay exact without a scan.
--
-- KEYS[1] the record, KEYS[2] the counters, KEYS[3] what is live, by the second it expires.
--
-- The key holds 120 of the 122 random bits of the id, which saves a size class of the allocator
-- for each ticket; the record holds the other two, and every script is told them as ARGV[1].
--
-- record, big-endian:  0 flags and those two bits | 1-7 created, microseconds | 8-11 ticket expires, seconds
--   and once used:     12-17 used, milliseconds | 18-21 session expires, seconds
--                      22-53 SHA-256 of the attempt | 54-85 SHA-256 of the session token
--   then the grant:    tenant, origin, subject, claims, one a line, empty ends left out
--
-- An unused ticket without a grant lies shorter, in its key's own allocation on Valkey 8.1: after
-- the first byte, 1-4 the milliseconds from its creation to the expiry of its key. Scripts see it
-- whole.
local OPENED, USED, REVOKED, REST_OF_ID = 1, 2, 4, 16
local SHORT, TICKET, SESSION = 5, 12, 86
local LONGEST_MS = 2 ^ 32 - 1

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now_ms = math.floor(now_us / 1000)

-- The last second whose records are gone: a key is expired when the clock is past its
-- expiry, not on it (Redis, keyIsExpired).
local past_s = math.floor((now_ms - 1) / 1000)

-- Expiries are whole seconds, rounded up, so that all records of a second end together.
local function expiry_s(ttl_s)
  return math.ceil((now_ms + ttl_s * 1000) / 1000)
end

local function flag(record, bit_value)
  return math.floor(string.byte(record, 1) / bit_value) % 2 == 1
end

local function lengthen(record)
  local expires_ms = math.max(0, redis.call('PEXPIRETIME', KEYS[1]))
  local created_us = (expires_ms - struct.unpack('>I4', record, 2)) * 1000
  return string.sub(record, 1, 1) .. struct.pack('>I7I4', created_us, expires_ms / 1000)
end

-- The record under the key; nil and true where it is that of another id.
local function fetch()
  local record = redis.call('GET', KEYS[1])
  if not record then return nil, false end
  if math.floor(string.byte(record, 1) / REST_OF_ID) ~= tonumber(ARGV[1]) then return nil, true end
  if #record == SHORT then record = lengthen(record) end
  return record, false
end

-- Whether all of its subject was revoked since it was created; `marked` is '1' where the marks of
-- subjects lie on this node. Elsewhere (on a Cluster) the caller looks.
local function of_revoked_subject(record, marked)
  if marked ~= '1' then return false end
  local grant = (flag(record, USED) and SESSION or TICKET) + 1
  local tenant, subject = string.match(record, '^([^\n]*)\n[^\n]*\n([^\n]+)', grant)
  local revoked_us = subject and redis.call('GET', KEYS[2] .. ':revoked:' .. tenant .. '\n' .. subject)
  return revoked_us and (struct.unpack('>I7', record, 2)) <= tonumber(revoked_us)
end

local function with_flag(record, bit_value)
  if flag(record, bit_value) then return record end
  return string.char(string.byte(record, 1) + bit_value) .. string.sub(record, 2)
end

local function created_us(record) return (struct.unpack('>I7', record, 2)) end
local function ticket_expires_s(record) return (struct.unpack('>I4', record, 9)) end
local function session_expires_s(record) return (struct.unpack('>I4', record, 19)) end

-- When the record's key goes: a used ticket stays as a tombstone at least until the ticket's expiry.
local function record_expires_s(record)
  local at = ticket_expires_s(record)
  if flag(record, USED) then at = math.max(at, session_expires_s(record)) end
  return at
end

-- What was counted, asked for once. Of the records created `gone` are there no more, and of those
-- redeemed `used_gone`: so neither is counted twice while it lasts, by a total and by what is left of it.
local SWEPT, DOUBTED_US, TOTAL_CREATED, TOTAL_USED, GONE, USED_GONE = 1, 2, 3, 4, 5, 6
local counted
local function counter(which)
  counted = counted or redis.call('HMGET', KEYS[2],
    'swept', 'doubted_us', 'total_created', 'total_used', 'gone', 'used_gone')
  return tonumber(counted[which] or 0)
end

local function add(name, by) redis.call('HINCRBY', KEYS[2], name, by) end

-- The records that go at a second, up to 2^25, and those of them that are redeemed, are one number.
local ONE_USED = 2 ^ 26

local function change(at_s, by)
  if redis.call('HINCRBY', KEYS[3], at_s, by) == 0 then redis.call('HDEL', KEYS[3], at_s) end
end

-- Of a second that was swept before (by a primary whose clock was ahead) nothing is left to count.
local function is_to_come(at_s) return at_s > counter(SWEPT) end

-- Count one that goes at `at_s`, and that `total_created` has just counted.
local function count_created(at_s)
  if is_to_come(at_s) then change(at_s, 1) else add('gone', 1) end
end

-- Count as used, as `total_used` has just done, one that goes at `to_s` from now on, and at `from_s` before.
local function count_used(from_s, to_s)
  local was, is = is_to_come(from_s), is_to_come(to_s)
  if was ~= is then add('gone', was and 1 or -1) end
  if was and from_s ~= to_s then change(from_s, -1) end
  if is then change(to_s, (from_s == to_s and 0 or 1) + ONE_USED) else add('used_gone', 1) end
end

-- One that would have gone at `at_s` does not count any more.
local function count_revoked(at_s, used)
  if not is_to_come(at_s) then return end
  add('gone', 1)
  if used then add('used_gone', 1) end
  change(at_s, used and -1 - ONE_USED or -1)
end

local function drop_second(at_s)
  local number = tonumber(redis.call('HGET', KEYS[3], at_s) or '0')
  if number == 0 then return end
  local used = math.floor(number / ONE_USED + 0.5)
  local gone = number - used * ONE_USED
  counted[GONE], counted[USED_GONE] = counter(GONE) + gone, counter(USED_GONE) + used
  if gone ~= 0 then add('gone', gone) end
  if used ~= 0 then add('used_gone', used) end
  redis.call('HDEL', KEYS[3], at_s)
end

-- Take what has expired out of the counters: once a second, at the cost of the seconds that
-- passed, or of those that hold records, whichever are fewer.
local function sweep()
  local from_s = counter(SWEPT) + 1
  if from_s > past_s then return end
  if past_s - from_s < redis.call('HLEN', KEYS[3]) then
    for at_s = from_s, past_s do drop_second(at_s) end
  else
    for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
      local at_s = tonumber(field)
      if at_s and at_s <= past_s then drop_second(field) end
    end
  end
  redis.call('HSET', KEYS[2], 'swept', past_s)
  counted[SWEPT] = past_s
end

-- Every answer that a caller may rely on ends in a write, a refusal too: only behind a write does
-- WAIT prove that the node which answered is the primary that the others follow.
local function tally(name) add(name, 1) end

-- Has every process forget `name`. Whoever may not publish goes on without: what others remember
-- grows old.
local function announce(name) redis.pcall('SPUBLISH', KEYS[2] .. ':revocations', name) end

local function shorten(record)
  local lasts_ms = ticket_expires_s(record) * 1000 - math.floor(created_us(record) / 1000)
  if #record > TICKET or lasts_ms > LONGEST_MS then return record end
  return string.sub(record, 1, 1) .. struct.pack('>I4', lasts_ms)
end

local function save(record)
  redis.call('SET', KEYS[1], shorten(record), 'PXAT', record_expires_s(record) * 1000)
end
