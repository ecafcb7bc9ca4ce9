-- wrk: requests of 1,000 accounts, in turn. Without a body, since Envoy's own answer to a request
-- that it has not read ends the connection, and connections are not what is measured.
-- A GET would cost no tokens.
wrk.method = "POST"
wrk.headers["x-account-tier"] = "t"

local n = 0
request = function()
  n = (n + 1) % 1000
  wrk.headers["x-account-id"] = "account-" .. n
  return wrk.format()
end
