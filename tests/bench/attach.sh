#!/bin/sh
# How long it takes to attach to every function that takes a packet, and to detach. Runs in a guest, whose dash it is made for:
#
#     cargo testbed boot 6.12 "$(cat tests/bench/attach.sh)"
#
# Prints milliseconds from the start of the process until it says that it is attached, and from SIGINT until it has ended. Where pwru
# is in the PATH it is measured beside nettrace.
modprobe -a nf_conntrack nf_nat nf_tables veth bridge

now() { date +%s%N; }

# measure NAME READY COMMAND
measure() {
    start=$(now)
    $3 > out 2> messages &
    pid=$!
    until grep -qi "$2" messages; do
        kill -0 $pid 2> /dev/null || { cat messages; return 1; }
        sleep 0.02
    done
    attached=$(now)
    sleep 0.5
    stop=$(now)
    kill -INT $pid
    wait $pid
    end=$(now)
    echo "$1: attached after $(((attached - start) / 1000000)) ms, gone after $(((end - stop) / 1000000)) ms"
    grep Attached messages
}

echo 'skb:* { @[func] = count(); }' > all.nt
echo 'skb:vmlinux:* { @[func] = count(); }' > vmlinux.nt
measure 'nettrace, all functions' Attached 'nettrace all.nt'
measure 'nettrace, without modules' Attached 'nettrace vmlinux.nt'
if command -v pwru > /dev/null; then
    measure 'pwru, without modules' listening 'pwru host 192.0.2.1'
fi
