#!lua flags=allow-oom
-- Removes entries that were worked on and that nothing follows from. Not MULTI: Redis queues nothing without memory.
--
-- KEYS  out outdata
-- ARGV  the entries' ids
-- Returns nothing. Safe: both types are read before the first write, and both writes need the same right or more.
redis.call('HLEN', KEYS[2])
redis.call('ZREM', KEYS[1], unpack(ARGV))
redis.call('HDEL', KEYS[2], unpack(ARGV))
