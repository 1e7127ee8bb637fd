#!lua flags=allow-oom
-- Removes an entry and stores its follow-ups; does nothing if it is already removed. Runs even
-- without memory, so that the outbox can drain.
--
-- KEYS  the sorted set and the hash of its queue, then those of each other queue of a follow-up
-- ARGV  the entry's id, then for each follow-up: the number of its sorted set among the keys, its
--       id, time and text, and '1' to keep an existing entry of this id, else ''
-- Returns 1 if the entry existed, else 0.
-- Safe: checks every type and permission before the first write.
local call = redis.call
local there = call('ZSCORE', KEYS[1], ARGV[1])
for key = 1, #KEYS, 2 do
  call('ZCARD', KEYS[key])
  call('HLEN', KEYS[key + 1])
end
if not there then return 0 end
for _, command in ipairs({ 'HSET', 'HDEL', 'ZADD', 'ZREM' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then
    return redis.error_reply('NOPERM this user may not ' .. command)
  end
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
