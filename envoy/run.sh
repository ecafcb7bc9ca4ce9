#!/bin/sh
# Starts the demo upstream and Envoy with the filter, on loopback; stops both when it ends.
# Called by `make run`, from the top of the repository.
set -eu

# The ports of the example configs, which become these.
: "${PROXY_PORT=10000}" "${ADMIN_PORT=10001}" "${ENVOY_ADMIN_PORT=9901}" "${UPSTREAM_PORT=10010}"
: "${CONFIG:=envoy/envoy.yaml}" "${TIERGATE_ENVOY:=.tools/bin/envoy}"

fail() {
    echo "make run: $*" >&2
    exit 1
}
port() {
    case $2 in
        '' | 0* | *[!0-9]* | ??????*) ;;
        *) [ "$2" -gt 65535 ] || return 0 ;;
    esac
    fail "$1 is no port from 1 to 65535: \"$2\""
}
port PROXY_PORT "$PROXY_PORT"
port ADMIN_PORT "$ADMIN_PORT"
port ENVOY_ADMIN_PORT "$ENVOY_ADMIN_PORT"
port UPSTREAM_PORT "$UPSTREAM_PORT"
[ -r "$CONFIG" ] || fail "can't read CONFIG $CONFIG"
command -v "$TIERGATE_ENVOY" >/dev/null || fail "can't run ENVOY $TIERGATE_ENVOY"

work='' upstream='' proxy=''
stop() {
    # A second signal must not end this before everything is gone.
    trap '' HUP INT TERM
    trap - EXIT
    # A signal can come between the start of a process and the line that keeps its id: $! has it.
    for started in "$proxy" "$upstream" "${!:-}"; do
        [ -z "$started" ] || kill "$started" 2>/dev/null || true
    done
    wait
    [ -z "$work" ] || rm -rf "$work"
}
trap stop EXIT
trap 'stop; echo; echo "stopped"; exit 0' HUP INT TERM
work=$(mktemp -d)

# One pass: a port that was put in is not looked at again.
awk -v ports="10000 $PROXY_PORT 10001 $ADMIN_PORT 9901 $ENVOY_ADMIN_PORT 10010 $UPSTREAM_PORT" '
    BEGIN { n = split(ports, pair, " "); for (i = 1; i < n; i += 2) new[pair[i]] = pair[i + 1] }
    match($0, /port_value: [0-9]+/) {
        old = substr($0, RSTART + 12, RLENGTH - 12)
        if (old in new) $0 = substr($0, 1, RSTART + 11) new[old] substr($0, RSTART + RLENGTH)
    }
    { print }' "$CONFIG" >"$work/envoy.yaml"

target/debug/examples/demo-upstream "$UPSTREAM_PORT" >"$work/upstream.log" 2>&1 &
upstream=$!
"$TIERGATE_ENVOY" -c "$work/envoy.yaml" --concurrency 2 --log-level warn --use-dynamic-base-id \
    --admin-address-path "$work/admin" &
proxy=$!

# Envoy names its own admin address once it has it: before, another Envoy may answer there.
ready() {
    [ -s "$work/admin" ] || return 1
    python3 - "$ENVOY_ADMIN_PORT" <<'PY'
import sys, urllib.request
try:
    urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/ready", timeout=1)
except OSError:
    sys.exit(1)
PY
}
both_live() {
    kill -0 "$proxy" 2>/dev/null || fail "Envoy ended: see above"
    kill -0 "$upstream" 2>/dev/null || { cat "$work/upstream.log" >&2; fail "the demo upstream ended"; }
}
tries=0
until ready; do
    tries=$((tries + 1))
    both_live
    [ "$tries" -lt 100 ] || fail "Envoy is not ready after 20 s"
    sleep 0.2
done
both_live

if [ "$CONFIG" = envoy/envoy.yaml ]; then
    url="http://127.0.0.1:$PROXY_PORT/v1/chat/completions"
    body='{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
    stream='{"model":"demo","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    cat <<TEXT

tiergate is on http://127.0.0.1:$PROXY_PORT  (Envoy admin: http://127.0.0.1:$ENVOY_ADMIN_PORT)
Try, in another terminal:

  # an account of tier1: 200, with its rate-limit headers
  curl -i $url -H 'x-account-id: acme' -H 'x-account-tier: tier1' -d '$body'

  # tier0 has 3 requests per minute: the fourth is a 429 that says when to come back
  for i in 1 2 3 4; do curl -si $url -H 'x-account-id: newcomer' -H 'x-account-tier: tier0' -d '$body'; echo; done

  # a stream, counted by the usage in its last event
  curl -N $url -H 'x-account-id: acme' -H 'x-account-tier: tier1' -d '$stream'

The admin page is http://127.0.0.1:$ADMIN_PORT/-/tiergate/ (any user, password: demo; docs/page.md),
the admin API is under it (bearer token: demo; docs/directory.md).
TEXT
else
    cat <<TEXT

$CONFIG is on port $PROXY_PORT of 127.0.0.1  (Envoy admin: http://127.0.0.1:$ENVOY_ADMIN_PORT)
The comment at its top has a request to try.
TEXT
fi
cat <<TEXT
Metrics are on http://127.0.0.1:$ENVOY_ADMIN_PORT/stats/prometheus half a second later.
Ctrl-C stops it.

TEXT
wait "$proxy"
