-- Evaluates all policies of a request, and charges all of them or none.
-- KEYS: the keys of each policy: two for sliding, one for the other algorithms.
-- ARGV: the time in ms, or 0 for the server's time; then for each policy its algorithm, limit,
--       window in ms, param (see algorithms.py) and cost.
-- Returns the time in ms, whether all costs fit, and for each policy what remains, and in ms how
-- long until the cost fits (0: it fits) and until more remains.
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
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

-- The time is never before the newest bucket of any key, so that a caller with a slow clock cannot
-- drop what another one has counted.
local latest_time, k = now, 1
for a = 2, #ARGV, 5 do
  if ARGV[a] == 'strict' then
    local newest = tonumber(string.match(stored(k), '^%d+') or '') or 0
    latest_time = max(latest_time, newest * tonumber(ARGV[a + 3]))
  end
  k = k + (ARGV[a] == 'sliding' and 2 or 1)
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
  if room < 0 then
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
  tokens, at = min(limit, tokens + refills * refill), at + refills * window
  local wait = tokens < cost and ceil((cost - tokens) / refill) * window + at - now or 0
  return wait, tokens, at + window - now, function()
    local rest = tokens - cost
    redis.call('HSET', KEYS[k], 'refilledAt', at, 'tokens', rest)
    redis.call('PEXPIRE', KEYS[k], ceil((limit - rest) / refill) * window)
  end
end

local fits, verdicts, commits = 1, {}, {}
k = 1
for a = 2, #ARGV, 5 do
  local limit, window, param = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local cost = tonumber(ARGV[a + 4])
  local wait, remaining, reset, commit = algorithms[ARGV[a]](k, limit, window, param, cost)
  if wait > 0 then fits = 0 end
  verdicts[#verdicts + 1] = {wait, remaining, reset, cost}
  if cost > 0 then commits[#commits + 1] = commit end
  k = k + (ARGV[a] == 'sliding' and 2 or 1)
end

local reply = {latest_time, fits}
for _, verdict in ipairs(verdicts) do
  reply[#reply + 1] = max(0, verdict[2] - fits * verdict[4])
  reply[#reply + 1] = verdict[1]
  reply[#reply + 1] = verdict[1] > 0 and verdict[1] or verdict[3]
end
if fits == 1 then
  for _, commit in ipairs(commits) do commit() end
end
return reply
