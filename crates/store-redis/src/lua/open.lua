#!lua
-- Creates the note of what this store is, where there is none, and reads it.
--
-- KEYS  meta
-- ARGV  an identity of its own, then the other fields of a new store {name, value, …}
-- Returns its fields {name, value, …}. Safe: a wrong type fails before the first write, and each write stands for itself.
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], unpack(ARGV, 2)) end
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
return redis.call('HGETALL', KEYS[1])
