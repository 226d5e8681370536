-- Returns live, used, total_created, total_used. Looks at counters only, at no record.
sweep()
local counters = redis.call('HMGET', KEYS[2], 'live', 'used', 'total_created', 'total_used')
for i = 1, 4 do counters[i] = tonumber(counters[i] or '0') end
return counters
