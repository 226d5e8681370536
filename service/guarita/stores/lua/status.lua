-- Returns live, used, total_created, total_used. Looks at counters only, at no record.
sweep()
local created, used = counter(TOTAL_CREATED), counter(TOTAL_USED)
return {created - counter(GONE), used - counter(USED_GONE), created, used}
