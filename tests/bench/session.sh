#!/bin/sh
# How long a session takes from Enter until a probe is attached, and how much memory it has after many entries. Needs root.
#
#     tests/bench/session.sh target/x86_64-unknown-linux-gnu/release/nettrace
#
# Prints the median of 21 probes that are attached one after the other, as the session tells it, and kB of resident memory after 100 and
# after 1,000 entries.
nettrace=${1:-nettrace}

attached() {
    for n in $(seq 21); do
        printf '%s\n' "$1"
        echo ':stop all'
        echo ':clear'
    done | $nettrace repl 2>&1 | sed -n 's/.*attached in \([0-9.]*\) ms/\1/p' | sort -n | sed -n 11p
}

memory() {
    {
        echo '@n = 0'
        for n in $(seq "$1"); do
            echo "@n += $n"
        done
        echo ':wait 1'
    } | $nettrace repl & # The last process of the pipeline is the session.
    sleep 0.2
    while :; do
        now=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/$!/status 2> /dev/null)
        [ -n "$now" ] || break
        last=$now
        sleep 0.1
    done
    echo "$last"
}

echo "tracepoint: $(attached 'tracepoint:syscalls:sys_enter_nanosleep { @[comm] = count(); }') ms"
echo "tracepoint with output: $(attached 'tracepoint:net:netif_receive_skb { printf("%s %d\n", str(args.name), args.len); }') ms"
echo "raw tracepoint: $(attached 'rawtracepoint:sched_switch { @ = count(); }') ms"
echo "memory after 100 entries: $(memory 100) kB, after 1000: $(memory 1000) kB"
