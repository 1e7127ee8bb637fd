#!lua flags=no-writes
-- Asks which commands this user may not run.
--
-- KEYS  none, because no key is read or written
-- ARGV  {command, a sample key, number of arguments after the key, …}
-- Returns {command, key, …} of those that are not permitted. Safe: writes nothing.
local refused = {}
for i = 1, #ARGV, 3 do
  local args = {}
  for n = 1, tonumber(ARGV[i + 2]) do args[n] = '0' end
  local known, allowed = pcall(redis.acl_check_cmd, ARGV[i], ARGV[i + 1], unpack(args))
  if not (known and allowed) then
    refused[#refused + 1], refused[#refused + 2] = ARGV[i], ARGV[i + 1]
  end
end
return refused
