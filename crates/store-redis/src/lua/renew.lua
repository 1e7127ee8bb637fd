#!lua flags=allow-oom
-- Sets a new end of lease for entries that still exist.
--
-- KEYS  out clock
-- ARGV  lease in ms, then the entries' ids
-- Returns nothing. Safe: one write.
local time, ahead = redis.call('TIME'), redis.call('GET', KEYS[2]) or 0
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ahead
local lease, leases = string.format('%.0f', now + ARGV[1]), {}
for i = 2, #ARGV do leases[#leases + 1], leases[#leases + 2] = lease, ARGV[i] end
redis.call('ZADD', KEYS[1], 'XX', unpack(leases))
