#!lua
-- Advances the test clock in all shards at once, so that no two shards show different times.
--
-- KEYS  the clock of every shard, all on one server
-- ARGV  by how many ms; the largest offset in ms
-- Returns the new offset in ms, or -1 if it would be too large.
-- Safe: the only read that can fail comes before the first write.
local ahead = (redis.call('GET', KEYS[1]) or 0) + ARGV[1]
if ahead > tonumber(ARGV[2]) then return -1 end
for _, key in ipairs(KEYS) do redis.call('SET', key, string.format('%.0f', ahead)) end
return ahead
