-- Every request is a new message to a new number, under an idempotency key of its own.
local thread_count = 0
function setup(thread)
  thread:set("id", thread_count)
  thread_count = thread_count + 1
end
function init(args)
  path = args[1]
  headers = { ["Content-Type"] = "application/json", ["Authorization"] = args[2] }
  run = args[3]
  count = 0
  bad = 0
end
function request()
  count = count + 1
  headers["Idempotency-Key"] = run .. "-" .. id .. "-" .. count
  local number = string.format("+2547%08d", (count * 7919 + id * 104729) % 9999999 + 10000000)
  local body = '{"to":"' .. number .. '","text":"Your order 4711 is on its way. Reply HELP for help.","sender":"SEMALINK"}'
  return wrk.format("POST", path, headers, body)
end
function response(status)
  if status ~= 202 then bad = bad + 1 end
end
function done(summary, latency, requests)
  io.write(string.format("RESULT %f %f %f %d %d\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, summary.requests,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
