-- The minimum possible work for due orders: marks each one and appends one event with all ids.
-- KEYS: 1 due (sorted set: id -> ms)  2 orders (hash: id -> status)  3 events (stream)
-- ARGV: 1 now, ms  2 the most orders, up to 1000 (Lua cannot unpack 8,000 values)
-- Returns the number of marked orders. It compares no version, stores no record and delivers
-- nothing: it is only for comparison.
local ids = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
if #ids == 0 then
  return 0
end
local marks = {}
for i = 1, #ids do
  marks[2 * i - 1] = ids[i]
  marks[2 * i] = 'RECEIVED'
end
redis.call('HSET', KEYS[2], unpack(marks))
redis.call('XADD', KEYS[3], '*', 'ids', table.concat(ids, ' '))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #ids - 1)
return #ids
