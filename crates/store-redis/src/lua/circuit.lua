#!lua flags=allow-oom
-- Notes how the receiver of an action is doing, if what stands there is what was known.
--
-- KEYS  circuits
-- ARGV  the action, the new text, the text of one that nothing is known of, and the known text; without it whatever is there
-- Returns 1 where it was noted.
-- Safe: one write.
local is = redis.call('HGET', KEYS[1], ARGV[1]) or ARGV[3]
if ARGV[4] and is ~= ARGV[4] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
