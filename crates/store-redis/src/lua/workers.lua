#!lua flags=allow-oom
-- Records a heartbeat in real time, so that an advanced test clock does not expire workers.
--
-- KEYS  workers
-- ARGV  the worker's name; how many ms a heartbeat is valid
-- Returns the names of the living workers. Removes workers without a heartbeat for an hour.
-- Safe: a wrong type fails the first write, and each write is complete by itself.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - 3600000))
return redis.call('ZRANGE', KEYS[1], string.format('%.0f', now - ARGV[2]), '+inf', 'BYSCORE')
