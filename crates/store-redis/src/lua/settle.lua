#!lua flags=allow-oom
-- Removes an entry that was worked on and stores what follows from it; nothing where another worker has removed it
-- already. Allowed without memory, so that the outbox can drain.
--
-- KEYS  out outdata dead deaddata
-- ARGV  the entry's id, then for each that follows: 1 (an entry) or 3 (a dead letter), its id, time and text
-- Returns 1 where the entry was there.
-- Safe: every type is read before the first write, and rights are asked for.
local call = redis.call
local there = call('ZSCORE', KEYS[1], ARGV[1])
call('HLEN', KEYS[2])
call('ZCARD', KEYS[3])
call('HLEN', KEYS[4])
if not there then return 0 end
for _, command in ipairs({ 'HSET', 'HDEL', 'ZADD', 'ZREM' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then return redis.error_reply('NOPERM this user may not ' .. command) end
end

call('ZREM', KEYS[1], ARGV[1])
call('HDEL', KEYS[2], ARGV[1])
for i = 2, #ARGV, 4 do
  local key = tonumber(ARGV[i])
  call('HSET', KEYS[key + 1], ARGV[i + 1], ARGV[i + 3])
  call('ZADD', KEYS[key], ARGV[i + 2], ARGV[i + 1])
end
return 1
