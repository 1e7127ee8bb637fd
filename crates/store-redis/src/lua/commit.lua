#!lua
-- Commits one round in one shard: all of it, or nothing if something has changed since the read.
--
-- KEYS  orders clock counts, then every other key that a command writes
-- ARGV  now ('' = skip the check); n, then n order ids, then for each the required start of its
--       record ('' = no record); m, then the names of m counts that change; then the commands, each
--       as its number of arguments and these arguments
-- Returns nothing after a commit; else {'stale'}, or {'version', numbers of the losers, from 1, …}.
-- Safe: checks types, permissions, time, versions and counts before the first write; Redis has
-- checked memory.
local call, last, n = redis.call, #ARGV, tonumber(ARGV[2])
local m = tonumber(ARGV[2 * n + 3])
local first = 2 * n + m + 4
local i, command, key = first, nil, nil
while i < last do
  if ARGV[i + 1] ~= command or ARGV[i + 2] ~= key then
    command, key = ARGV[i + 1], ARGV[i + 2]
    local size = redis.pcall(string.sub(command, 1, 1) == 'Z' and 'ZCARD' or 'HLEN', key)
    if type(size) == 'table' then return redis.error_reply(size.err .. ': ' .. key) end
    if not redis.acl_check_cmd(command, key, '0', '0') then
      return redis.error_reply('NOPERM this user may not ' .. command .. ' ' .. key)
    end
  end
  i = i + ARGV[i] + 1
end

local time, ahead = call('TIME'), call('GET', KEYS[2]) or 0
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ahead
if ARGV[1] ~= '' and math.abs(now - ARGV[1]) > 10000 then return { 'stale' } end
local records, losers = n > 0 and call('HMGET', KEYS[1], unpack(ARGV, 3, n + 2)), { 'version' }
for p = 1, n do
  local record, want = records[p], ARGV[n + 2 + p]
  local differs = string.sub(record or '', 1, #want) ~= want
  if want == '' and record or want ~= '' and differs then losers[#losers + 1] = p end
end
if #losers > 1 then return losers end
local counts = m > 0 and call('HMGET', KEYS[3], unpack(ARGV, first - m, first - 1))
for p = 1, m do
  local is = counts[p] or '0'
  if is ~= '0' and (#is > 16 or not string.find(is, '^%-?[1-9]%d*$')) then
    local name = ARGV[first - m - 1 + p]
    return redis.error_reply('ERR the count ' .. name .. ' in ' .. KEYS[3] .. ' is not a number')
  end
end

i = first
while i < last do
  call(unpack(ARGV, i + 1, i + ARGV[i]))
  i = i + ARGV[i] + 1
end
return {}
