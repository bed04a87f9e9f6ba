#!/bin/sh
# Which functions pwru prints for the same packets that nettrace does not, both attached at the same time. Runs in a guest, whose dash it
# is made for:
#
#     cargo testbed boot 6.12 --peers --topology pair "$(cat tests/bench/functions.sh)"
#
# Prints how many functions each has seen, and those of pwru alone with the reason if nettrace says why it left them out.
modprobe -a nf_conntrack nf_nat nf_tables bridge
for dir in dev proc sys tmp; do mount --rbind /$dir /opt/$dir; done

nettrace run -v skb-path -o /tmp/nettrace.out 'host 10.9.0.2 or host fd00:9::2' 2> /tmp/nettrace.messages &
nettrace=$!
until grep -q Attached /tmp/nettrace.messages; do
    kill -0 $nettrace 2> /dev/null || { cat /tmp/nettrace.messages; exit 1; }
    sleep 0.1
done
chroot /opt pwru --filter-track-skb --output-tuple --output-file /tmp/pwru.out 'host 10.9.0.2 or host fd00:9::2' 2> /tmp/pwru.messages &
pwru=$!
until grep -qi listening /tmp/pwru.messages; do
    kill -0 $pwru 2> /dev/null || { cat /tmp/pwru.messages; exit 1; }
    sleep 0.1
done
sleep 1

ping -q -c 3 -i 0.2 $PEER
ping -q -c 2 -i 0.2 -s 4000 $PEER
ping -q -c 3 -i 0.2 fd00:9::2
ip netns exec peer sh -c 'nc -n -l -N 9000 > /dev/null' &
sleep 0.5
head -c 100000 /dev/zero | nc -n -N -w 5 $PEER 9000
for port in 1 2; do echo x | nc -n -u -w 1 $PEER $port; echo x | nc -n -w 1 fd00:9::2 $port; done
sleep 1
kill -INT $pwru $nettrace
wait $pwru $nettrace

# Columns of both tables; names of functions have no blanks.
awk '$3 ~ /^#/ && $NF !~ /^[0-9]+$/ && !/DROP/ { print $NF }' /tmp/nettrace.out | sort -u > /tmp/nettrace.functions
awk '/^0x/ { print $(NF - 1) }' /tmp/pwru.out | sort -u > /tmp/pwru.functions
echo "functions that nettrace has seen: $(wc -l < /tmp/nettrace.functions), lines $(wc -l < /tmp/nettrace.out)"
echo "functions that pwru has seen: $(wc -l < /tmp/pwru.functions), lines $(wc -l < /tmp/pwru.out)"
echo "of pwru alone, with how many lines, the packets that it shows there, and what nettrace says of the function:"
comm -13 /tmp/nettrace.functions /tmp/pwru.functions | while read -r function; do
    packets=$(awk -v f="$function" '$(NF - 1) == f { print $NF }' /tmp/pwru.out | sort | uniq -c | head -3 | tr -s ' \n' ' ')
    echo "    $function:$packets $(grep -w "$function" /tmp/nettrace.messages)"
done
grep -E 'WARNING|^Lost' /tmp/nettrace.messages
