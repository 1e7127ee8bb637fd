#!lua
-- Creates the note of what this store is, where there is none, and reads it.
--
-- KEYS  meta
-- ARGV  the fields of a new store {name, value, …}
-- Returns its fields {name, value, …}. Safe: one write; a wrong type fails before it.
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
return redis.call('HGETALL', KEYS[1])
