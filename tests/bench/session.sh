#!/bin/sh
# How long a session takes from Enter until a probe is attached, and how much memory it has after many entries. Needs root.
#
#     tests/bench/session.sh target/x86_64-unknown-linux-gnu/release/nettrace
#
# Prints the median of 21 probes that are attached one after the other, as the session tells it, and kB of resident memory after 100 and
# after 1,000 entries.
nettrace=${1:-nettrace}
probe='tracepoint:syscalls:sys_enter_nanosleep { @[comm] = count(); }'
out=$(mktemp)
trap 'rm -f "$out"' EXIT

attached() {
    for n in $(seq 21); do
        printf '%s\n' "$1"
        echo ':stop all'
        echo ':clear'
    done | $nettrace repl 2>&1 | sed -n 's/.*attached in \([0-9.]*\) ms/\1/p' | sort -n | sed -n 11p
}

memory() {
    {
        # One entry in ten attaches a probe, which goes again, one has a mistake, one looks around.
        for n in $(seq "$1"); do
            case $n in
                *0) echo "$probe"; echo ':stop all'; echo ':clear' ;;
                *1) echo 'nonsense(' ; echo ;;
                *2) echo ':type struct sk_buff' ;;
                *) echo "@n += $n" ;;
            esac
        done
        echo 'print("all done")'
        echo ':wait 3600'
    } | $nettrace repl > "$out" 2> /dev/null & # The last process of the pipeline is the session.
    until grep -q 'all done' "$out"; do sleep 0.1; done
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/$!/status
    kill $!
    wait $! 2> /dev/null
}

echo "tracepoint: $(attached "$probe") ms"
echo "tracepoint with output: $(attached 'tracepoint:net:netif_receive_skb { printf("%s %d\n", str(args.name), args.len); }') ms"
echo "raw tracepoint: $(attached 'rawtracepoint:sched_switch { @ = count(); }') ms"
echo "memory after 100 entries: $(memory 100) kB, after 1000: $(memory 1000) kB"
