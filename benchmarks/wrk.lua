-- Asks for the status of all devices in turn; prints what wrk measured as one line of JSON.
local requests = {}
local number = 0

init = function(args)
    for device = 1, tonumber(args[1]) do
        requests[device] = wrk.format(nil, "/api/v1/devices/dev-" .. device .. "/status")
    end
end

request = function()
    number = number % #requests + 1
    return requests[number]
end

done = function(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"errors":%d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000,
        latency:percentile(99) / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
