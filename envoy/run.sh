#!/bin/sh
# Starts the demo upstream and Envoy with the filter, on loopback; stops both when it ends.
# Called by `make run`, from the top of the repository.
set -eu

work=$(mktemp -d)
upstream='' proxy=''
stop() {
    trap - EXIT INT TERM
    [ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true
    [ -z "$upstream" ] || kill "$upstream" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap stop EXIT
trap 'stop; echo; echo "stopped"; exit 0' INT TERM

sed -e "s/port_value: 10000\b/port_value: $PROXY_PORT/" \
    -e "s/port_value: 10001\b/port_value: $ADMIN_PORT/" \
    -e "s/port_value: 9901\b/port_value: $ENVOY_ADMIN_PORT/" \
    -e "s/port_value: 10010\b/port_value: $UPSTREAM_PORT/" envoy/envoy.yaml >"$work/envoy.yaml"

target/debug/examples/demo-upstream "$UPSTREAM_PORT" >"$work/upstream.log" 2>&1 &
upstream=$!
"$TIERGATE_ENVOY" -c "$work/envoy.yaml" --concurrency 2 --log-level warn --use-dynamic-base-id &
proxy=$!

ready() {
    python3 - "$ENVOY_ADMIN_PORT" <<'PY'
import sys, urllib.request
try:
    urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/ready", timeout=1)
except OSError:
    sys.exit(1)
PY
}
tries=0
until ready; do
    tries=$((tries + 1))
    kill -0 "$proxy" 2>/dev/null || { echo "Envoy ended: see above" >&2; exit 1; }
    kill -0 "$upstream" 2>/dev/null || { cat "$work/upstream.log" >&2; exit 1; }
    [ "$tries" -lt 100 ] || { echo "Envoy is not ready after 20 s" >&2; exit 1; }
    sleep 0.2
done
# A busy upstream port shows only now.
kill -0 "$upstream" 2>/dev/null || { cat "$work/upstream.log" >&2; exit 1; }

url="http://127.0.0.1:$PROXY_PORT/v1/chat/completions"
body='{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
stream='{"model":"demo","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
cat <<TEXT

tiergate is on http://127.0.0.1:$PROXY_PORT  (Envoy admin: http://127.0.0.1:$ENVOY_ADMIN_PORT)
Try, in another terminal:

  # an account of tier1: 200, with its rate-limit headers
  curl -i $url -H 'x-account-id: acme' -H 'x-account-tier: tier1' -d '$body'

  # tier0 has 3 requests per minute: the fourth is a 429 that says when to come back
  for i in 1 2 3 4; do curl -i $url -H 'x-account-id: newcomer' -H 'x-account-tier: tier0' -d '$body'; echo; done

  # a stream, counted by the usage in its last event
  curl -N $url -H 'x-account-id: acme' -H 'x-account-tier: tier1' -d '$stream'

The admin page is http://127.0.0.1:$ADMIN_PORT/-/tiergate/ (any user, password: demo; docs/page.md),
the admin API is under it (bearer token: demo; docs/directory.md).
Metrics are on http://127.0.0.1:$ENVOY_ADMIN_PORT/stats/prometheus half a second later.
Ctrl-C stops it.

TEXT
wait "$proxy"
