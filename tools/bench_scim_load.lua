-- What wrk sends to one server, for one operation: `wrk ... -s bench_scim_load.lua URL -- OPERATION TOKEN IDS COUNT PART PARTS`.
-- IDS is a file with one id a line, in the order of the people's numbers. PART of PARTS is which share of them a PATCH may touch: each
-- User there is toggled in turn, from active, so that every request changes something. A POST takes names of its part nobody has.

local enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local operation, headers, ids, count, part, base
local mine, at, pass, created = {}, 0, 0, 0

local function read(path)
  local found = {}
  for line in io.lines(path) do found[#found + 1] = line end
  return found
end

-- This thread's Users of this part, in an order by chance. There are two threads.
local function share(parts)
  local first, last = math.floor(#ids * part / parts) + 1, math.floor(#ids * (part + 1) / parts)
  for place = first, last do
    if place % 2 == number then mine[#mine + 1] = ids[place] end
  end
  for place = #mine, 2, -1 do
    local other = math.random(place)
    mine[place], mine[other] = mine[other], mine[place]
  end
end

function init(arguments)
  operation, count, part = arguments[1], tonumber(arguments[4]), tonumber(arguments[5])
  base = wrk.path
  headers = { Authorization = "Bearer " .. arguments[2], ["Content-Type"] = "application/scim+json" }
  math.randomseed(1000 * part + number + 7)
  ids = read(arguments[3])
  share(tonumber(arguments[6]))
end

local function user_name(which)
  return string.format("parent%07d@school.example", which)
end

local say = {}

function say.get()
  return wrk.format("GET", base .. "/Users/" .. ids[math.random(#ids)], headers)
end

function say.filter()
  local name = user_name(math.random(count) - 1)
  return wrk.format("GET", base .. "/Users?filter=userName%20eq%20%22" .. name .. "%22", headers)
end

function say.first()
  return wrk.format("GET", base .. "/Users?count=100", headers)
end

function say.middle()
  return wrk.format("GET", base .. "/Users?count=100&startIndex=" .. (count / 2 + 1), headers)
end

function say.patch()
  at = at + 1
  if at > #mine then
    at, pass = 1, pass + 1
  end
  local body = '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":'
    .. (pass % 2 == 0 and "false" or "true") .. "}]}"
  return wrk.format("PATCH", base .. "/Users/" .. mine[at], headers, body)
end

function say.post()
  created = created + 1
  local which = 1000000 * (1 + part) + 500000 * number + created
  local name = user_name(which)
  local body = '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","' .. enterprise .. '"],"externalId":"'
    .. string.format("00u%017d", which) .. '","userName":"' .. name .. '","name":{"givenName":"Given' .. which
    .. '","familyName":"Family' .. which % 997 .. '"},"displayName":"Given' .. which .. " Family" .. which % 997
    .. '","active":true,"emails":[{"value":"' .. name .. '","type":"work","primary":true}],"' .. enterprise
    .. '":{"employeeNumber":"' .. string.format("C%07d", which) .. '","department":"Parents"}}'
  return wrk.format("POST", base .. "/Users", headers, body)
end

function request()
  return say[operation]()
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('\n{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, failed))
end
