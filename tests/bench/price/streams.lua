-- wrk: streams of some words, an event each, then the end of the answer and [DONE]; and the usage,
-- where the filter asks for it.
wrk.method = "POST"
wrk.body = '{"messages":[],"stream":true}'
wrk.headers["content-type"] = "application/json"
wrk.headers["x-account-id"] = "acme"
wrk.headers["x-account-tier"] = "t"
wrk.headers["x-demo-completion-tokens"] = os.getenv("WORDS")
wrk.headers["x-demo-chunk-ms"] = os.getenv("EVERY_MS")
