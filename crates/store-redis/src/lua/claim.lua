#!lua flags=allow-oom
-- Leases due entries of one action in one shard. Runs even without memory, so that the outbox can
-- drain.
--
-- KEYS  out outdata clock
-- ARGV  limit, lease in ms
-- Returns the store's time, {id, text or nil, …}, and the time of the first entry that was not
--         taken, '' for none.
-- Safe: reads all keys before the only write.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + (redis.call('GET', KEYS[3]) or 0)
local limit = tonumber(ARGV[1])
local first = redis.call('ZRANGE', KEYS[1], 0, limit, 'WITHSCORES')
local ids, leases, next_at = {}, {}, ''
local lease = string.format('%.0f', now + ARGV[2])
for i = 1, #first, 2 do
  if #ids == limit or tonumber(first[i + 1]) > now then
    next_at = first[i + 1]
    break
  end
  ids[#ids + 1] = first[i]
  leases[#leases + 1], leases[#leases + 2] = lease, first[i]
end
if #ids == 0 then return { now, {}, next_at } end
local texts, taken = redis.call('HMGET', KEYS[2], unpack(ids)), {}
for i, id in ipairs(ids) do taken[2 * i - 1], taken[2 * i] = id, texts[i] end
redis.call('ZADD', KEYS[1], unpack(leases))
return { now, taken, next_at }
