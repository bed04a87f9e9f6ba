# A router with two uplinks, as in the story "IPv4 gets stuck".
#
#                      +-------- router --------+   wan0 10.0.0.1 --- 10.0.0.2 [isp0] --+
#   [host] 172.17.0.2 -+- lan0 172.17.0.1       |                                       +- 203.0.113.10
#                      |  MASQUERADE on wan+    |   wan1 10.0.1.1 --- 10.0.1.2 [isp1] --+
#                      +------------------------+
#
# The case's own network namespace is the router; host, isp0 and isp1 are named namespaces. Both providers
# reach the same server address, each with a server of its own.
#
# Policy routing chooses the uplink by firewall mark: 0x30 goes to wan0, 0x36 to wan1. The rules that are
# badly placed sit in mangle PREROUTING: a new connection is marked 0x36, an established one 0x30. So the
# first packet leaves by wan1 and is masqueraded there; the next one would leave by wan0, and the kernel
# deletes the connection instead of translating it wrongly.

SERVER=203.0.113.10
CLIENT=172.17.0.2
PORT=8080

# Brings the topology up.
up() {
    modprobe -a nf_conntrack nf_nat veth
    for name in host isp0 isp1; do
        ip netns add $name
        ip -n $name link set lo up
    done
    link lan0 172.17.0.1 host $CLIENT
    link wan0 10.0.0.1 isp0 10.0.0.2
    link wan1 10.0.1.1 isp1 10.0.1.2
    ip -n host route add default via 172.17.0.1
    for isp in isp0 isp1; do
        ip -n $isp address add $SERVER/32 dev lo
    done
    sysctl -q net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0

    ip route add default via 10.0.0.2 dev wan0 table 30
    ip route add default via 10.0.1.2 dev wan1 table 36
    # Answers go to the LAN whatever their mark is.
    ip rule add to 172.17.0.0/24 lookup main priority 10
    ip rule add fwmark 0x30 lookup 30 priority 20
    ip rule add fwmark 0x36 lookup 36 priority 20
    # What has no mark yet is looked up once before it gets one.
    ip route add default via 10.0.1.2 dev wan1

    iptables -t nat -A POSTROUTING -o wan+ -j MASQUERADE
    iptables -t mangle -A PREROUTING -m conntrack --ctstate NEW -j CONNMARK --set-mark 0x36
    iptables -t mangle -A PREROUTING -m conntrack --ctstate ESTABLISHED -j CONNMARK --set-mark 0x30
    iptables -t mangle -A PREROUTING -j CONNMARK --restore-mark
}

# link DEVICE ADDRESS NAMESPACE PEER_ADDRESS: a cable from the router into a namespace.
link() {
    ip link add "$1" type veth peer name eth0 netns "$3"
    ip address add "$2/24" dev "$1"
    ip link set "$1" up
    ip -n "$3" address add "$4/24" dev eth0
    ip -n "$3" link set eth0 up
}

# One TCP connection of the host to the server: a handshake, a request in several packets, an answer.
# It cannot succeed; the packets that are tried on the way are what matters.
connection() {
    for isp in isp0 isp1; do
        ip netns exec $isp nc -n -l -k $SERVER $PORT >/dev/null 2>&1 </dev/null &
    done
    wait_for_server
    # The end is cut short: closing the connection in an orderly way takes as many tries.
    (echo one; sleep 0.3; echo two; sleep 0.3; echo three; sleep 1) |
        timeout 1.5 ip netns exec host nc -n -p 40001 $SERVER $PORT || true
}

wait_for_server() {
    for isp in isp0 isp1; do
        tries=0
        until ip netns exec $isp ss -Hltn "sport = :$PORT" | grep -q LISTEN; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] || { echo "the server in $isp does not listen"; return 1; }
            sleep 0.05
        done
    done
}
