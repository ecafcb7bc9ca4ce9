-- wrk: requests of one account. The header is set for each of them, as for those of many accounts.
wrk.headers["x-account-tier"] = "t"

request = function()
  wrk.headers["x-account-id"] = "account-1"
  return wrk.format()
end
