-- Hold back requests that change something, for as long as a switch is on.
--
-- Stopping a nova-conductor or nova-scheduler loses RPC calls in flight. With the switch on, new writes wait here and
-- reach the API when it goes off again; reads pass. A request waits 90 s at most, then goes on regardless.
--
--   global:  lua-load /etc/haproxy/hold.lua
--   listen:  http-request lua.hold_writes if { method POST PUT PATCH DELETE }
--   on:      echo "set map /etc/haproxy/hold.map nova-api $(($(date +%s) + 20))" | socat stdio /run/haproxy/admin.sock
--   off:     echo "set map /etc/haproxy/hold.map nova-api 0" | socat stdio /run/haproxy/admin.sock
--
-- The map has a line per listen section: its name, and the second (since 1970) until which writes wait. Who holds must
-- renew it: if he dies, the hold ends by itself. The value 1 holds until it is taken away.
-- Client and server timeouts must exceed the longest wait.

local LONGEST_MS = 90000
local STEP_MS = 50
local switches = Map.new("/etc/haproxy/hold.map", Map._str)

local function is_held(name)
  local value = tonumber(switches:lookup(name) or "0") or 0
  return value == 1 or value > core.now().sec
end

core.register_action("hold_writes", { "http-req" }, function(txn)
  local name = txn.f:fe_name()
  local waited = 0
  while waited < LONGEST_MS and is_held(name) do
    core.msleep(STEP_MS)
    waited = waited + STEP_MS
  end
end, 0)
