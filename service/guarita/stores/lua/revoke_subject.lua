-- KEYS[1] the subject's mark. ARGV[1] seconds to keep it. What was created up to now is revoked.
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
redis.call('SET', KEYS[1], now_us, 'EX', ARGV[1])
return now_us
