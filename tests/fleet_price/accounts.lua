-- wrk: requests of ACCOUNTS accounts, in turn. Without a body, as in tests/bench/price/many_accounts.lua.
wrk.method = "POST"
wrk.headers["x-account-tier"] = "t"

local n, most = 0, tonumber(os.getenv("ACCOUNTS"))
request = function()
  n = (n + 1) % most
  wrk.headers["x-account-id"] = "account-" .. n
  return wrk.format()
end
