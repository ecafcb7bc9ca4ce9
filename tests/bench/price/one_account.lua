-- wrk: requests of one account. The header is set for each of them, as for those of many accounts.
-- A GET would cost no tokens.
wrk.method = "POST"
wrk.headers["x-account-tier"] = "t"

request = function()
  wrk.headers["x-account-id"] = "account-1"
  return wrk.format()
end
