#!lua flags=allow-oom
-- Removes an entry and stores what follows from it; nothing where somebody else has removed it already. Allowed without
-- memory, so that the outbox can drain.
--
-- KEYS  the sorted set and the hash of its queue, then those of each other queue that something goes to
-- ARGV  the entry's id, then for each that follows: the number of its sorted set among the keys, its id, time and text, and
--       whether one that is there already stays ('1' or '')
-- Returns 1 where the entry was there.
-- Safe: every type is read before the first write, and rights are asked for.
local call = redis.call
local there = call('ZSCORE', KEYS[1], ARGV[1])
for key = 1, #KEYS, 2 do
  call('ZCARD', KEYS[key])
  call('HLEN', KEYS[key + 1])
end
if not there then return 0 end
for _, command in ipairs({ 'HSET', 'HDEL', 'ZADD', 'ZREM' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then return redis.error_reply('NOPERM this user may not ' .. command) end
end

call('ZREM', KEYS[1], ARGV[1])
call('HDEL', KEYS[2], ARGV[1])
for i = 2, #ARGV, 5 do
  local key, id = tonumber(ARGV[i]), ARGV[i + 1]
  if ARGV[i + 4] == '' or not call('ZSCORE', KEYS[key], id) then
    call('HSET', KEYS[key + 1], id, ARGV[i + 3])
    call('ZADD', KEYS[key], ARGV[i + 2], id)
  end
end
return 1
