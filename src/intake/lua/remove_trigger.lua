-- Removes the trigger of a received order.
--
-- KEYS  trigger
-- Returns 1 if it existed. Safe: one write; a key of another type than string stays.
local kind = redis.call('TYPE', KEYS[1])
if (kind.ok or kind) ~= 'string' then return 0 end
return redis.call('DEL', KEYS[1])
