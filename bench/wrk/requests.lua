-- Sends the requests of a file, one after the other and from the start again.
-- A line is: method, path, headers as name=value pairs, body; parted by tabs, pairs by "; ;".
local requests, last = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local method, path, pairs_text, body = line:match("([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)")
    local headers = {}
    for name, value in pairs_text:gmatch("([^=]+)=(.-); ;") do headers[name] = value end
    requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "refused": %d, "broken": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
