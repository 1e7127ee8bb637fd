#!lua
-- Puts the time of a store for tests forward, for all shards at once, so that no two show different times.
--
-- KEYS  the clock of every shard: one server has them all
-- ARGV  by how many ms; by how many ms it can be ahead altogether
-- Returns by how many ms it is ahead; -1 where that would be too much.
-- Safe: the one read that can fail comes before the first write.
local ahead = (redis.call('GET', KEYS[1]) or 0) + ARGV[1]
if ahead > tonumber(ARGV[2]) then return -1 end
for _, key in ipairs(KEYS) do redis.call('SET', key, string.format('%.0f', ahead)) end
return ahead
