#!lua flags=allow-oom
-- Sets or removes values of one space, each where the expected one stands. Allowed without memory: circuits change while
-- the outbox drains.
--
-- KEYS  the space
-- ARGV  for each change: its key, what must stand there ('*' anything, '-' nothing, '=' and a value), and the new value
--       ('-' none, '=' and a value)
-- Returns for each change 1 where it was made, else 0.
-- Safe: rights are asked for, a wrong type fails before the first write, and each change stands for itself.
local call, made = redis.call, {}
for _, command in ipairs({ 'HSET', 'HDEL' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then return redis.error_reply('NOPERM this user may not ' .. command) end
end
for i = 1, #ARGV, 3 do
  local key, expected, new = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local is = call('HGET', KEYS[1], key)
  if expected == '*' or expected == (is and '=' .. is or '-') then
    if new == '-' then call('HDEL', KEYS[1], key) else call('HSET', KEYS[1], key, string.sub(new, 2)) end
    made[#made + 1] = 1
  else
    made[#made + 1] = 0
  end
end
return made
