-- wrk: plain responses of so many words, with the usage behind them.
wrk.method = "POST"
wrk.body = '{"messages":[]}'
wrk.headers["content-type"] = "application/json"
wrk.headers["x-account-id"] = "acme"
wrk.headers["x-account-tier"] = "t"
wrk.headers["x-demo-completion-tokens"] = os.getenv("WORDS")
