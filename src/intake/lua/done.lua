-- Removes the trigger of an order that was received.
--
-- KEYS  trigger
-- Returns 1 where it was there. Safe: one write, and none to a key that is no string.
local kind = redis.call('TYPE', KEYS[1])
if (kind.ok or kind) ~= 'string' then return 0 end
return redis.call('DEL', KEYS[1])
