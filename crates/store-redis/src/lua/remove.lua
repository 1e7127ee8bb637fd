#!lua flags=allow-oom
-- Removes entries without follow-ups. Not a MULTI: Redis queues no commands without memory.
--
-- KEYS  the queue's sorted set and hash
-- ARGV  the entries' ids
-- Returns how many existed. Safe: checks both types and the permission before the first write.
redis.call('HLEN', KEYS[2])
if not redis.acl_check_cmd('HDEL', KEYS[2], '0') then
  return redis.error_reply('NOPERM this user may not HDEL')
end
local there = redis.call('ZREM', KEYS[1], unpack(ARGV))
redis.call('HDEL', KEYS[2], unpack(ARGV))
return there
