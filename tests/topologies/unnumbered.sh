# A Kubernetes node as a router whose second uplink has no IPv4 address, as in the story "Packet, where aren't you".
#
#                                  +-------- node --------+  up0 10.0.0.1 ------ 10.0.0.2 eth0 +- spine -----------------+
#   [pod] 10.244.0.2 - 10.244.0.1 -+ pod0                 |                                    |  198.51.100.10 (good)   |
#                                  | dummy0 172.31.0.1    |  up1 fe80::1 -------- fe80::2 eth1 |  198.51.100.11 (bad)    |
#                                  | loop0 192.0.2.1      |                                    +-------------------------+
#                                  +----------------------+
#
# The case's own network namespace is the node. What kube-proxy does is here two rules: the services 10.96.0.10 and 10.96.0.11 are
# translated to the servers (DNAT), what leaves by an uplink is masqueraded. Each server is routed over an uplink of its own, with a
# link-local IPv6 address as next hop; the second with the source address that the spine expects there, 192.0.2.1.
#
# Masquerading does not know that address: up1 has none, so it takes the first that any device has, dummy0's. The spine, which reaches
# 172.31.0.1 by eth0 if at all, drops what comes from there by eth1, as its rp_filter says.

GOOD=10.96.0.10
BAD=10.96.0.11

# Brings the topology up.
up() {
    modprobe -a nf_conntrack nf_nat veth dummy
    for name in pod spine; do
        ip netns add $name
        ip -n $name link set lo up
    done
    # The order decides which address masquerading finds first.
    ip link add dummy0 type dummy 2>/dev/null || true
    ip address add 172.31.0.1/32 dev dummy0
    ip link set dummy0 up
    ip link add loop0 type dummy
    ip address add 192.0.2.1/32 dev loop0
    ip link set loop0 up

    ip link add pod0 type veth peer name eth0 netns pod
    ip address add 10.244.0.1/24 dev pod0
    ip link set pod0 up
    ip -n pod address add 10.244.0.2/24 dev eth0
    ip -n pod link set eth0 up
    ip -n pod route add default via 10.244.0.1

    ip link add up0 type veth peer name eth0 netns spine
    ip address add 10.0.0.1/24 dev up0
    ip address add fe80::1/64 dev up0 nodad
    ip link set up0 up
    ip -n spine address add 10.0.0.2/24 dev eth0
    ip -n spine address add fe80::2/64 dev eth0 nodad
    ip -n spine link set eth0 up
    ip link add up1 type veth peer name eth1 netns spine
    ip address add fe80::1/64 dev up1 nodad
    ip link set up1 up
    ip -n spine address add fe80::2/64 dev eth1 nodad
    ip -n spine link set eth1 up

    # Next hops that are known already: looking for one is no difference worth seeing.
    ip neigh add fe80::2 lladdr "$(address spine eth0)" dev up0
    ip neigh add fe80::2 lladdr "$(address spine eth1)" dev up1
    ip -n pod neigh add 10.244.0.1 lladdr "$(ip -o link show dev pod0 | sed 's/.*link.ether \([^ ]*\).*/\1/')" dev eth0

    ip -n spine address add 198.51.100.10/32 dev lo
    ip -n spine address add 198.51.100.11/32 dev lo
    ip -n spine route add default via 10.0.0.1
    ip -n spine route add 192.0.2.1/32 via inet6 fe80::1 dev eth1
    ip netns exec spine sysctl -q net.ipv4.conf.all.rp_filter=1

    ip route add 198.51.100.10/32 via inet6 fe80::2 dev up0
    ip route add 198.51.100.11/32 via inet6 fe80::2 dev up1 src 192.0.2.1
    sysctl -q net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0

    iptables -t nat -A PREROUTING -d $GOOD -j DNAT --to-destination 198.51.100.10
    iptables -t nat -A PREROUTING -d $BAD -j DNAT --to-destination 198.51.100.11
    iptables -t nat -A POSTROUTING -o up+ -j MASQUERADE
    ip netns exec spine nc -n -l -k 80 >/dev/null 2>&1 </dev/null &
    wait_for_listener spine 80
}

# address NAMESPACE DEVICE: its link-layer address.
address() {
    ip -n "$1" -o link show dev "$2" | sed 's/.*link.ether \([^ ]*\).*/\1/'
}

# wait_for_listener NAMESPACE PORT
wait_for_listener() {
    tries=0
    until ip netns exec "$1" ss -Hltn "sport = :$2" | grep -q LISTEN; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo "nobody listens on $2 in $1"; return 1; }
        sleep 0.05
    done
}

# connect SERVICE: one attempt of the pod to connect; whether it succeeds is for the caller to know.
connect() {
    ip netns exec pod nc -n -z -w 1 "$1" 80
}
