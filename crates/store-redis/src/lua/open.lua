#!lua
-- Creates the store's meta key if it does not exist, and reads it.
--
-- KEYS  meta
-- ARGV  a random identity, then the other fields of a new store {name, value, …}
-- Returns its fields {name, value, …}. Safe: a wrong type fails the first command, and each write
-- is complete by itself.
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], unpack(ARGV, 2)) end
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
return redis.call('HGETALL', KEYS[1])
