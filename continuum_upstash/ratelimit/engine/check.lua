-- Evaluates all policies of a request, and charges all of them or none.
-- KEYS: for each policy two keys if it is sliding, otherwise one; if it is shared, also the key of
--       its dynamic limit; with an event, that of the events; with values, that of the deny list.
-- ARGV: the time in ms, or 0 for the server's time; then for each policy its algorithm, limit,
--       window in ms, param (see algorithms.py), cost, and whether it is shared with
--       @upstash/ratelimit (1 or 0). If it is: the event without its result, or an empty string;
--       the number of values to look up in the deny list, and those values.
-- Returns the time in ms, whether all costs fit, and for each policy what remains, in ms how long
-- until the cost fits (0: it fits) and until more remains, the limit that applies, and the number
-- of the value that is on the deny list (0: none is).
-- No assignment to several variables begins with a call: Upstash runs GopherLua, whose old versions
-- store the result in the wrong variable. Which version Upstash runs is not known.
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local DENIED_MS, MAX_LIMIT = 60000, 999999999
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local strings
local function stored(k)
  strings = strings or redis.call('MGET', unpack(KEYS))
  return strings[k] or ''
end

local function get_dynamic_limit(k, limit)
  local dynamic = tonumber(string.match(stored(k), '^%-?%d+%.?%d*$') or '')
  return dynamic and min(max(floor(dynamic), 0), MAX_LIMIT) or limit
end

local function find_denied(key, first, count)
  local found = redis.call('SMISMEMBER', key, unpack(ARGV, first, first + count - 1))
  for i = 1, count do
    if found[i] == 1 then return i end
  end
  return 0
end

local policies, a, k = {}, 2, 1
while a <= #ARGV do
  local policy = {
    algorithm = ARGV[a], limit = tonumber(ARGV[a + 1]), window = tonumber(ARGV[a + 2]),
    param = tonumber(ARGV[a + 3]), cost = tonumber(ARGV[a + 4]), k = k, event = '', denied = 0,
  }
  local is_shared = ARGV[a + 5] == '1'
  a, k = a + 6, k + (policy.algorithm == 'sliding' and 2 or 1)
  if is_shared then
    local count = tonumber(ARGV[a + 1])
    policy.limit = get_dynamic_limit(k, policy.limit)
    k = k + 1
    policy.event = ARGV[a]
    if policy.event ~= '' then policy.events, k = KEYS[k], k + 1 end
    if count > 0 then
      policy.denied = find_denied(KEYS[k], a + 2, count)
      k = k + 1
    end
    a = a + 2 + count
  end
  policies[#policies + 1] = policy
end

-- The time is never before the newest bucket of any key, so that a caller with a slow clock cannot
-- drop what another one has counted.
local latest_time = now
for _, policy in ipairs(policies) do
  if policy.algorithm == 'strict' then
    local newest = tonumber(string.match(stored(policy.k), '^%d+') or '') or 0
    latest_time = max(latest_time, newest * policy.param)
  end
end

local function to_number(text) return tonumber(text or '') or 0 end
local function get_time_left(start, window)
  return window - min(max(now - start, 0), window - 1)
end

local algorithms = {}

function algorithms.fixed(k, limit, window, start, cost)
  local used, left = to_number(stored(k)), get_time_left(start, window)
  return used + cost > limit and left or 0, limit - used, left, function()
    redis.call('SET', KEYS[k], used + cost, 'PX', window)
  end
end

function algorithms.sliding(k, limit, window, start, cost)
  local used, previous = to_number(stored(k)), to_number(stored(k + 1))
  local left = get_time_left(start, window)
  local weighted, room, wait = floor(left * previous / window), limit - used - cost, 0
  if cost > limit then
    wait = left
  elseif room < 0 then
    wait = left + max(0, window + 1 - ceil((limit - cost + 1) * window / used))
  elseif weighted > room then
    wait = left + 1 - ceil((room + 1) * window / previous)
  end
  local reset = left + 1 - ceil(weighted * window / max(previous, 1))
  return wait, limit - used - weighted, reset, function()
    redis.call('SET', KEYS[k], used + cost, 'PX', 2 * window + 1000)
  end
end

-- The counts stay text: most of them are only summed, and written back unchanged.
function algorithms.strict(k, limit, window, width, cost)
  local newest, text = string.match(stored(k), '^(%d+)(.*)')
  local index, span = floor(latest_time / width), ceil(window / width)
  local age = index - (tonumber(newest) or 0)
  local counts, n, used = {}, 0, 0
  for count in string.gmatch(text or '', '%d+') do
    if n > span - age then break end
    n = n + 1
    counts[n], used = count, used + count
  end
  local function ms_until_freed(units)
    for position = n, 1, -1 do
      units = units - counts[position]
      if units <= 0 then
        return min((index - age - position + span + 2) * width - now, window + width)
      end
    end
    return (index + span + 1) * width - now
  end
  local excess = used + cost - limit
  return excess > 0 and ms_until_freed(excess) or 0, limit - used, ms_until_freed(1), function()
    if n > 0 and age == 0 then
      counts[1] = counts[1] + cost
    else
      local between = n > 0 and string.rep(' 0', age - 1) or ''
      table.insert(counts, 1, cost .. between)
    end
    local state = index .. ' ' .. table.concat(counts, ' ')
    redis.call('SET', KEYS[k], state, 'PX', window + width + 1000)
  end
end

function algorithms.token_bucket(k, limit, window, refill, cost)
  local saved = redis.call('HMGET', KEYS[k], 'refilledAt', 'tokens')
  local at, tokens = tonumber(saved[1] or '') or now, tonumber(saved[2] or '') or limit
  local refills = max(0, floor((now - at) / window))
  tokens = min(limit, tokens + refills * refill)
  at = at + refills * window
  local wait = tokens < cost and ceil((cost - tokens) / refill) * window + at - now or 0
  return wait, tokens, at + window - now, function()
    local rest = tokens - cost
    redis.call('HSET', KEYS[k], 'refilledAt', at, 'tokens', rest)
    redis.call('PEXPIRE', KEYS[k], ceil((limit - rest) / refill) * window)
  end
end

local fits = 1
for _, policy in ipairs(policies) do
  local check = algorithms[policy.algorithm]
  local wait, remaining, reset, commit =
    check(policy.k, policy.limit, policy.window, policy.param, policy.cost)
  if policy.denied > 0 then wait = DENIED_MS end
  if wait > 0 then fits = 0 end
  policy.wait, policy.remaining, policy.reset, policy.commit = wait, remaining, reset, commit
end

local reply = {latest_time, fits}
for _, policy in ipairs(policies) do
  local wait = policy.wait
  reply[#reply + 1] = max(0, policy.remaining - fits * policy.cost)
  reply[#reply + 1] = wait
  reply[#reply + 1] = wait > 0 and wait or policy.reset
  reply[#reply + 1] = policy.limit
  reply[#reply + 1] = policy.denied
end
for _, policy in ipairs(policies) do
  if fits == 1 and policy.cost > 0 then policy.commit() end
  if policy.event ~= '' and policy.denied == 0 and (fits == 1 or policy.wait > 0) then
    redis.call('ZINCRBY', policy.events, 1, policy.event .. tostring(fits == 1) .. '}')
  end
end
return reply
