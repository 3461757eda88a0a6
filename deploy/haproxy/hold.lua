-- Hold back requests that change something, for as long as a switch is on.
--
-- Stopping a nova-conductor or nova-scheduler loses RPC calls in flight. With the switch on, new writes wait here and
-- reach the API when it goes off again; reads pass. A request waits 90 s at most, then goes on regardless.
--
--   global:  lua-load /etc/haproxy/hold.lua
--   listen:  http-request lua.hold_writes if { method POST PUT PATCH DELETE }
--   on/off:  echo "set map /etc/haproxy/hold.map nova-api 1" | socat stdio /run/haproxy/admin.sock
--
-- The map has a line per listen section: its name, and 0 or 1. Client and server timeouts must exceed the longest wait.

local LONGEST_MS = 90000
local STEP_MS = 50
local switches = Map.new("/etc/haproxy/hold.map", Map._str)

core.register_action("hold_writes", { "http-req" }, function(txn)
  local name = txn.f:fe_name()
  local waited = 0
  while waited < LONGEST_MS and switches:lookup(name) == "1" do
    core.msleep(STEP_MS)
    waited = waited + STEP_MS
  end
end, 0)
