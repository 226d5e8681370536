-- Shared by every script: the packed record, and the counters that stay exact without a scan.
--
-- KEYS[1] the record, KEYS[2] the counters, KEYS[3] live records by the second they expire.
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

local swept -- asked for once
local function swept_s()
  swept = swept or tonumber(redis.call('HGET', KEYS[2], 'swept') or '0')
  return swept
end

local function change(field, by)
  if redis.call('HINCRBY', KEYS[3], field, by) == 0 then redis.call('HDEL', KEYS[3], field) end
end

-- Count `live` more records (and `used` more redeemed ones) that go at `at_s`. A second that was
-- swept before (by a primary whose clock was ahead) is not counted twice.
local function count(at_s, live, used)
  if at_s <= swept_s() then return end
  redis.call('HINCRBY', KEYS[2], 'live', live)
  change(at_s, live)
  if used ~= 0 then
    redis.call('HINCRBY', KEYS[2], 'used', used)
    change(at_s .. 'u', used)
  end
end

-- Count a record as used that goes at `to_s` from now on, and at `from_s` before.
local function count_as_used(from_s, to_s)
  if math.min(from_s, to_s) <= swept_s() then
    count(from_s, -1, 0)
    return count(to_s, 1, 1)
  end
  if from_s ~= to_s then -- as many live ones as before
    change(from_s, -1)
    change(to_s, 1)
  end
  redis.call('HINCRBY', KEYS[2], 'used', 1)
  change(to_s .. 'u', 1)
end

local function drop_second(at_s)
  local live, used = unpack(redis.call('HMGET', KEYS[3], at_s, at_s .. 'u'))
  if live then redis.call('HINCRBY', KEYS[2], 'live', -live) end
  if used then redis.call('HINCRBY', KEYS[2], 'used', -used) end
  if live or used then redis.call('HDEL', KEYS[3], at_s, at_s .. 'u') end
end

-- Take what has expired out of the counters: once a second, at the cost of the seconds that
-- passed, or of those that hold records, whichever are fewer.
local function sweep()
  local from_s = swept_s() + 1
  if from_s > past_s then return end
  if past_s - from_s < redis.call('HLEN', KEYS[3]) then
    for at_s = from_s, past_s do drop_second(at_s) end
  else
    for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
      local at_s = tonumber(field)
      if at_s and at_s <= past_s then drop_second(at_s) end
    end
  end
  redis.call('HSET', KEYS[2], 'swept', past_s)
  swept = past_s
end

-- Every answer that a caller may rely on ends in a write, a refusal too: only behind a write does
-- WAIT prove that the node which answered is the primary that the others follow.
local function tally(name) redis.call('HINCRBY', KEYS[2], name, 1) end

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
