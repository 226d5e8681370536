-- ARGV: rest of the id, ttl in seconds, most live records (0: no limit, -1: none may be added), grant.
-- Returns new | repeated | conflict | full. Only `new` changes anything but a counter.
local existing, is_another = fetch()
if is_another then
  tally('total_refused')
  return 'conflict'
end
if existing then
  local from = flag(existing, USED) and SESSION or TICKET
  tally('total_repeated')
  return string.sub(existing, from + 1) == ARGV[4] and 'repeated' or 'conflict'
end
sweep()
local most = tonumber(ARGV[3])
if most < 0 or (most > 0 and counter(TOTAL_CREATED) - counter(GONE) >= most) then
  tally('total_refused')
  return 'full'
end
local expires_s = expiry_s(tonumber(ARGV[2]))
save(string.char(tonumber(ARGV[1]) * REST_OF_ID) .. struct.pack('>I7I4', now_us, expires_s) .. ARGV[4])
tally('total_created')
count_created(expires_s)
return 'new'
