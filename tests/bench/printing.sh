#!/bin/bash
# What printing costs: nettrace prints every system call of a dd to a file. Needs root.
#
#     tests/bench/printing.sh [NETTRACE [COUNT [FORMAT ARGUMENTS]]]
#
# OPTIONS in the environment are further options of nettrace, for example "-f json".
# COUNT is how many times dd reads and writes (two events each, default 500000). Prints how many events came out, processor time
# per event of nettrace, how long dd took, events per second of dd's time, how often nettrace slept, and losses.
set -eu

nettrace=${1:-nettrace}
count=${2:-500000}
format=${3:-'"%s %d %s\n", comm, pid, probe'}
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT

"$nettrace" -o "$out/events" ${OPTIONS:-} -e "tracepoint:raw_syscalls:sys_enter / comm == \"dd\" / { printf($format); }" 2> "$out/messages" &
pid=$!
until grep -q Attached "$out/messages"; do
    kill -0 $pid 2> /dev/null || { cat "$out/messages" >&2; exit 1; }
    sleep 0.05
done

ticks() { awk '{ print $14 + $15 }' /proc/$pid/stat; }
before=$(ticks)
start=$(date +%s%N)
dd if=/dev/zero of=/dev/null bs=1 count="$count" 2> /dev/null
traced=$((($(date +%s%N) - start) / 1000000))
# What still waits is printed, too.
sleep 0.5
spent=$((($(ticks) - before) * 1000000000 / $(getconf CLK_TCK)))
slept=$(awk '/^voluntary/ { print $2 }' /proc/$pid/status)
kill -INT $pid
wait $pid

events=$(grep -c . "$out/events")
echo "$events events, $((spent / events)) ns each; dd took $traced ms: $((events * 1000 / traced)) events/s; slept $slept times"
grep -v Attached "$out/messages" || true
