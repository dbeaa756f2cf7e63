-- Run by wrk: requests from what BENCH_* say, and one line of JSON at the end.
-- In path and body, {n} is a number from 1 to BENCH_IDS, {u} one that no other request has.
-- Between an answer and the connection's next request pass BENCH_PAUSE milliseconds.
local ids = tonumber(os.getenv("BENCH_IDS") or "1")
local run = os.getenv("BENCH_RUN") or "0"
local pause = tonumber(os.getenv("BENCH_PAUSE") or "0")
local path = os.getenv("BENCH_PATH")
local body = os.getenv("BENCH_BODY")
local count = 0
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  math.randomseed(number)
  wrk.method = os.getenv("BENCH_METHOD")
  local token = os.getenv("BENCH_TOKEN")
  if token then wrk.headers["Authorization"] = "Bearer " .. token end
  if body then wrk.headers["Content-Type"] = "application/json" end
end

local function filled(text)
  if not text then return nil end
  text = text:gsub("{n}", tostring(math.random(ids)))
  return (text:gsub("{u}", run .. "x" .. number .. "x" .. count))
end

function request()
  count = count + 1
  return wrk.format(nil, filled(path), nil, filled(body))
end

if pause > 0 then
  function delay() return pause end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\nBENCH {"seconds": %.6f, "requests": %d, "refused": %d, "broken": %d,' ..
    ' "p50": %.3f, "p99": %.3f, "longest": %.3f}\n',
    summary.duration / 1e6, summary.requests, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
