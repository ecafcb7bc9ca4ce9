-- wrk: requests of so many accounts in turn, from one of them on; a number of requests, or without
-- an end where that is 0. One at a time on each connection: Envoy's own answer to a request with
-- another behind it ends the connection.
-- A GET would cost no tokens.
wrk.method = "POST"
wrk.headers["x-account-tier"] = "t"

local accounts = tonumber(os.getenv("ACCOUNTS"))
local n = tonumber(os.getenv("FROM"))
local last = n + tonumber(os.getenv("REQUESTS"))

request = function()
  n = n + 1
  if n == last then
    wrk.thread:stop()
  end
  wrk.headers["x-account-id"] = "account-" .. n % accounts
  return wrk.format()
end
