#!/bin/sh
# Starts Redis, two services, three edges with two workers each, and the demo upstream, and shows one
# account that is limited across the edges. Ctrl-C ends all of it. `make fleet` builds what it starts.
set -eu
cd "$(dirname "$0")/../.."
redis=${TIERGATE_REDIS:-$(command -v .tools/bin/redis-server || command -v redis-server)}
envoy=${TIERGATE_ENVOY:-.tools/bin/envoy}
dir=$(mktemp -d)
pids=
stop() {
  trap - EXIT
  # A signal can come between the start of a process and the line that keeps its id: $! has it.
  pids="$pids ${!:-}"
  # shellcheck disable=SC2086 # one word for each process
  [ "$pids" = " " ] || kill $pids 2>/dev/null || true
  wait
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM

# Waits until a URL answers.
await() {
  for _ in $(seq 200); do
    curl -sf -o /dev/null "$1" && return
    sleep 0.1
  done
  echo "no answer from $1: see the lines above" >&2
  exit 1
}

"$redis" --bind 127.0.0.1 --port 10030 --save '' --dir "$dir" >"$dir/redis.log" &
pids="$pids $!"
target/debug/examples/demo-upstream 10010 &
pids="$pids $!"
for port in 10031 10032; do
  target/debug/tiergate fleet --redis redis://127.0.0.1:10030 --listen "127.0.0.1:$port" 2>"$dir/fleet-$port.log" &
  pids="$pids $!"
done
for port in 10031 10032; do await "http://127.0.0.1:$port/readyz"; done
for n in 0 1 2; do
  sed "s/port_value: 10000/port_value: 1000$n/; s/port_value: 9901/port_value: 990$((n + 1))/" \
    envoy/fleet/edge.yaml >"$dir/edge-$n.yaml"
  "$envoy" -c "$dir/edge-$n.yaml" --concurrency 2 --use-dynamic-base-id --log-level warn &
  pids="$pids $!"
done
for n in 1 2 3; do await "http://127.0.0.1:990$n/ready"; done

echo "tier0 has 3 requests a minute, on all edges together:"
for port in 10000 10001 10002 10000 10001 10002; do
  line="curl -H 'x-account-id: acme' -H 'x-account-tier: tier0' http://127.0.0.1:$port/v1/models -d '{}'"
  status=$(curl -s -o /dev/null -w '%{http_code}' -H 'x-account-id: acme' -H 'x-account-tier: tier0' \
    "http://127.0.0.1:$port/v1/models" -d '{}')
  echo "$status  $line"
done
if [ "${1:-}" != once ]; then
  echo "Ctrl-C ends it"
  wait
fi
