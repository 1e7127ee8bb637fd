#!lua flags=allow-oom
-- Gives the first entries of an action in one shard to another action, or drops them where there is none. The same for dead
-- letters. Allowed without memory: as much is freed as is taken.
--
-- KEYS  the sorted set and the hash that they leave, and those that they go to, if any
-- ARGV  at most how many
-- Returns how many left. An id that is there already, where they go to, is that of the same event and stays as it is.
-- Safe: every type is read before the first write, and rights are asked for.
local call, ids, there, texts = redis.call, {}, {}, {}
local first = call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')
call('HLEN', KEYS[2])
if KEYS[3] then call('HLEN', KEYS[4]) end
for _, command in ipairs({ 'HSET', 'HDEL', 'ZADD', 'ZREM' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then return redis.error_reply('NOPERM this user may not ' .. command) end
end
for i = 1, #first, 2 do
  ids[#ids + 1] = first[i]
  there[#ids] = KEYS[3] and call('ZSCORE', KEYS[3], first[i])
end
if #ids == 0 then return 0 end
if KEYS[3] then texts = call('HMGET', KEYS[2], unpack(ids)) end

for i, id in ipairs(ids) do
  if KEYS[3] and not there[i] then
    if texts[i] then call('HSET', KEYS[4], id, texts[i]) end
    call('ZADD', KEYS[3], first[2 * i], id)
  end
end
call('ZREM', KEYS[1], unpack(ids))
call('HDEL', KEYS[2], unpack(ids))
return #ids
