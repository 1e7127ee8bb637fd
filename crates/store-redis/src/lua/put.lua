#!lua
-- Adds entries to a queue of an action. Skips ids that this queue or the action's other queue
-- contains.
--
-- KEYS  the queue's sorted set and hash, the other queue's sorted set
-- ARGV  {id, time, text, …}
-- Returns how many were added.
-- Safe: checks every type and permission before the first write.
local call, texts, times = redis.call, {}, {}
call('HLEN', KEYS[2])
for _, command in ipairs({ 'HSET', 'ZADD' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then
    return redis.error_reply('NOPERM this user may not ' .. command)
  end
end
for i = 1, #ARGV, 3 do
  if not (call('ZSCORE', KEYS[1], ARGV[i]) or call('ZSCORE', KEYS[3], ARGV[i])) then
    texts[#texts + 1], texts[#texts + 2] = ARGV[i], ARGV[i + 2]
    times[#times + 1], times[#times + 2] = ARGV[i + 1], ARGV[i]
  end
end
if #times == 0 then return 0 end
call('HSET', KEYS[2], unpack(texts))
return call('ZADD', KEYS[1], unpack(times))
