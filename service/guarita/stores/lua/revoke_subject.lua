-- KEYS: the subject's mark, the counters. ARGV: seconds to keep it, the channel of revocations and
-- the name to publish there. What was created up to now is revoked.
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
redis.call('SET', KEYS[1], now_us, 'EX', ARGV[1])
redis.call('HINCRBY', KEYS[2], 'total_revokes', 1)
redis.pcall('SPUBLISH', ARGV[2], ARGV[3])
return now_us
