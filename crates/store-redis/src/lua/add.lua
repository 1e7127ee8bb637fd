#!lua
-- Adds entries, due now, where there is neither an entry nor a dead letter of that id.
--
-- KEYS  out outdata dead clock
-- ARGV  {id, text, …}
-- Returns how many were added.
-- Safe: every type is read before the first write, and rights are asked for.
local call, entries, due = redis.call, {}, {}
call('HLEN', KEYS[2])
for _, command in ipairs({ 'HSET', 'ZADD' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then return redis.error_reply('NOPERM this user may not ' .. command) end
end
local time, ahead = call('TIME'), call('GET', KEYS[4]) or 0
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ahead)
for i = 1, #ARGV, 2 do
  if not (call('ZSCORE', KEYS[1], ARGV[i]) or call('ZSCORE', KEYS[3], ARGV[i])) then
    entries[#entries + 1], entries[#entries + 2] = ARGV[i], ARGV[i + 1]
    due[#due + 1], due[#due + 2] = now, ARGV[i]
  end
end
if #due == 0 then return 0 end
call('HSET', KEYS[2], unpack(entries))
return call('ZADD', KEYS[1], unpack(due))
