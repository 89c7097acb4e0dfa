-- Reserves jobs: takes the first ones that are ready or due, and gives each a lease.
-- KEYS: the jobs, the dead letters, the unique names.
-- ARGV: the time in ms, the end of the lease in ms, the token of the lease, the number of jobs,
--       and 1 to look for due jobs (delayed, or with an ended lease) even if others are ready.
-- Returns 1 if the queue is paused; when the next job is due in ms (0: another one may be ready,
-- -1: there is none); the number of jobs that became dead letters; the number of commands that ran;
-- and the members of the jobs.
-- docs/reference/stored-bytes.md has the form of members and scores. Nothing between the first write
-- and the last one can fail, since plain Redis keeps the writes of a script that failed.
local jobs, dead_letters, names = KEYS[1], KEYS[2], KEYS[3]
local now, count = tonumber(ARGV[1]), tonumber(ARGV[4])
local commands = 0
local function call(...)
  commands = commands + 1
  return redis.call(...)
end

local popped = call('ZPOPMIN', jobs, ARGV[4])
if popped[1] == '!paused' then
  local back = {}
  for i = 1, #popped, 2 do
    back[i], back[i + 1] = popped[i + 1], popped[i]
  end
  call('ZADD', jobs, unpack(back))
  return {1, -1, 0, commands}
end

local function parse(member, is_popped)
  local id, priority, attempts, max_attempts, expires, rest = string.match(
    member, '^(%x+) (%-?%d%d?%d?) (%d+) (%d+) (%d+) %S+ (%S+ %S+\n.*)$')
  if not id or #attempts > 6 or #max_attempts > 6 or #expires > 15 then
    return {member = member, score = -9999, is_popped = is_popped}
  end
  return {
    member = member, is_popped = is_popped, id = id, priority = priority,
    score = -1000 - tonumber(priority), attempts = tonumber(attempts),
    max_attempts = max_attempts, expires = expires, rest = rest,
  }
end

local candidates, adds, removes, letters, found, next_due = {}, {}, {}, {}, {}, -1
local has_due, seen = ARGV[5] == '1', {}
for i = 1, #popped, 2 do
  local member, score = popped[i], popped[i + 1]
  local ms = tonumber(score) or 0
  if ms > now then
    if next_due < 0 then next_due = ms end
    adds[#adds + 1] = score
    adds[#adds + 1] = member
  else
    if ms > 0 then has_due = true end
    candidates[#candidates + 1] = parse(member, true)
  end
end
if has_due then
  for _, member in ipairs(call('ZRANGEBYSCORE', jobs, 0, ARGV[1], 'LIMIT', 0, 100)) do
    candidates[#candidates + 1] = parse(member, false)
  end
end
table.sort(candidates, function(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return a.member < b.member
end)

local function remove(job)
  if not job.is_popped then removes[#removes + 1] = job.member end
end
local function add_letter(job, reason)
  remove(job)
  local head, payload = string.match(job.member, '^([^\n]*)\n(.*)$')
  if not job.id then head, payload = '0 0 0 0 0 - - -', job.member end
  letters[#letters + 1] = ARGV[1]
  letters[#letters + 1] = head .. '\n"' .. reason .. '"\n' .. payload
end

for _, job in ipairs(candidates) do
  if not job.id then
    add_letter(job, 'malformed: the member is not in the form of a job')
  elseif tonumber(job.expires) > 0 and tonumber(job.expires) <= now then
    add_letter(job, 'expired: no worker reserved the job within its lifetime')
    seen[#seen + 1] = job
  elseif job.attempts >= tonumber(job.max_attempts) then
    add_letter(job, 'lost: the worker of the last attempt neither acknowledged the job nor failed it')
    seen[#seen + 1] = job
  elseif #found < count then
    local member = job.id .. ' ' .. job.priority .. ' ' .. string.format('%d', job.attempts + 1)
      .. ' ' .. job.max_attempts .. ' ' .. job.expires .. ' ' .. ARGV[3]
      .. ' ' .. job.rest
    remove(job)
    found[#found + 1] = member
    adds[#adds + 1] = ARGV[2]
    adds[#adds + 1] = member
  else
    next_due = 0
    adds[#adds + 1] = string.format('%d', job.score)
    adds[#adds + 1] = job.member
  end
end
if next_due < 0 and #popped == 2 * count then next_due = 0 end

if #adds > 0 then call('ZADD', jobs, unpack(adds)) end
if #removes > 0 then call('ZREM', jobs, unpack(removes)) end
if #letters > 0 then call('ZADD', dead_letters, unpack(letters)) end
for _, job in ipairs(seen) do
  local name = string.match(job.rest, '^(%x+) ')
  local holder = name and call('HGET', names, name)
  if holder and string.match(holder, '^%x+') == job.id then call('HDEL', names, name) end
end
return {0, next_due, #letters / 2, commands, unpack(found)}
