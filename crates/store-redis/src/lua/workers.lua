#!lua flags=allow-oom
-- Notes that a worker is alive, by the real time: a test clock that is put forward kills nobody.
--
-- KEYS  workers
-- ARGV  the worker's name; how many ms a sign of life counts
-- Returns the names of the living. Those that were silent for an hour are forgotten.
-- Safe: a wrong type fails at the first write, and each write stands for itself.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - 3600000))
return redis.call('ZRANGE', KEYS[1], string.format('%.0f', now - ARGV[2]), '+inf', 'BYSCORE')
