#!lua flags=allow-oom
-- Compare-and-set of values in one space. Runs even without memory, because circuits change while
-- the outbox drains.
--
-- KEYS  the space
-- ARGV  for each change: its key, the expected value ('*' any, '-' none, '=' and the value), and
--       the new value ('-' none, '=' and the value)
-- Returns for each change 1 if it was made, else 0.
-- Safe: checks permissions first; a wrong type fails the first read; each change is complete by
-- itself.
local call, made = redis.call, {}
for _, command in ipairs({ 'HSET', 'HDEL' }) do
  if not redis.acl_check_cmd(command, KEYS[1], '0', '0') then
    return redis.error_reply('NOPERM this user may not ' .. command)
  end
end
for i = 1, #ARGV, 3 do
  local key, expected, new = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local is = call('HGET', KEYS[1], key)
  if expected == '*' or expected == (is and '=' .. is or '-') then
    if new == '-' then
      call('HDEL', KEYS[1], key)
    else
      call('HSET', KEYS[1], key, string.sub(new, 2))
    end
    made[#made + 1] = 1
  else
    made[#made + 1] = 0
  end
end
return made
