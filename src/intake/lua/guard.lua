-- The point at which it is settled whether an adopted order is received: the shop's status is read and answered in one step.
--
-- KEYS  status mark
-- ARGV  the word for paid, the word for received, for how many ms the mark stands
-- Returns "ours" where the receipt is ours to commit: the status was the word for paid and is the one for received by now, or
-- had been in an earlier call, which the mark says. Else {type} of the status key, and where that is a string its first 64 bytes.
-- Safe: the mark is written first, and taken back where the status cannot be written.
local call = redis.call
if call('EXISTS', KEYS[2]) == 1 then return 'ours' end
local kind = call('TYPE', KEYS[1])
kind = kind.ok or kind
if kind ~= 'string' then return { kind } end
local status = call('GETRANGE', KEYS[1], 0, 63)
if status ~= ARGV[1] then return { kind, status } end
call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
local answer = redis.pcall('SET', KEYS[1], ARGV[2], 'KEEPTTL')
if answer.err then
  call('DEL', KEYS[2])
  return answer
end
return 'ours'
