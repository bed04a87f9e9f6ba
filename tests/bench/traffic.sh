#!/bin/sh
# What is left of the traffic while every function that takes a packet is traced, and how fast packets that match are printed; pwru
# beside nettrace. Runs in a guest, whose dash it is made for:
#
#     cargo testbed boot 6.12 --peers --topology pair "$(cat tests/bench/traffic.sh)"
#
# Prints bytes of TCP per second over veth without tracing and under each program with a filter that matches nothing; then for 500
# echo requests sent as fast as they are answered the lines that came out, lines per second until the last one was written, and losses.
# Peak memory is VmHWM.
SECONDS_OF_TRAFFIC=6
modprobe -a nf_conntrack nf_nat nf_tables bridge
for dir in dev proc sys tmp; do mount --rbind /$dir /opt/$dir; done

now() { date +%s%N; }
sent() { awk '$1 == "pair0:" { print $10 }' /proc/net/dev; }

# begin READY COMMAND: starts a program and waits until it says that it is ready; its number is in $pid.
begin() {
    $2 > /tmp/out 2> /tmp/messages &
    pid=$!
    until grep -qi "$1" /tmp/messages; do
        kill -0 $pid 2> /dev/null || { cat /tmp/messages; return 1; }
        sleep 0.05
    done
    sleep 1
}

finish() {
    peak=$(awk '/^VmHWM/ { print $2 }' /proc/$pid/status)
    kill -INT $pid
    wait $pid
}

throughput() {
    before=$(sent)
    start=$(now)
    timeout $SECONDS_OF_TRAFFIC nc -n $PEER 9000 < /dev/zero > /dev/null
    echo "$1: $((($(sent) - before) * 1000 / (($(now) - start) / 1000000) / 1000)) kB/s of TCP"
}

lines() { wc -l < "$1"; }

# printing NAME FILE
printing() {
    start=$(now)
    ip netns exec peer ping -q -f -c 500 $HERE | grep -o '[0-9]* received'
    last=$(now)
    count=$(lines "$2")
    quiet=0
    while [ $quiet -lt 10 ]; do
        sleep 0.1
        new=$(lines "$2")
        quiet=$((quiet + 1))
        [ "$new" = "$count" ] || { quiet=0; last=$(now); }
        count=$new
    done
    echo "$1: $count lines, $((count * 1000 / ((last - start) / 1000000))) lines/s"
}

ip netns exec peer sh -c 'nc -n -l -k 9000 > /dev/null 2>&1' &
listener=$!
sleep 0.5
for round in $(seq ${ROUNDS:-3}); do
    throughput 'not traced'
    begin Attached 'nettrace run skb-path host 192.0.2.99' && throughput 'nettrace' && finish && echo "nettrace: $peak kB at the peak"
    grep -v Attached /tmp/messages
    begin listening 'chroot /opt pwru host 192.0.2.99' && throughput 'pwru' && finish && echo "pwru: $peak kB at the peak"

    rm -f /tmp/lines
    begin Attached 'nettrace run skb-path -o /tmp/lines icmp' && printing 'nettrace' /tmp/lines && finish && echo "nettrace: $peak kB at the peak"
    grep -v Attached /tmp/messages
    rm -f /tmp/lines
    begin listening 'chroot /opt pwru --output-file /tmp/lines icmp' && printing 'pwru' /tmp/lines && finish && echo "pwru: $peak kB at the peak"
done
kill $listener
