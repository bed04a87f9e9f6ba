# A router between two hosts that filters nothing yet: each case brings its own rules.
#
#                     +-------------- router --------------+
#   [client] .1.0.2 --- lan0 10.1.0.1     wan0 10.2.0.1 --- [server] 10.2.0.2
#        fd00:1::2    |      fd00:1::1         fd00:2::1   |     fd00:2::2
#                     +------------------------------------+
#
# The case's own network namespace is the router; client and server are named namespaces. The server answers pings, and resets
# TCP connections.

CLIENT=10.1.0.2
SERVER=10.2.0.2
CLIENT6=fd00:1::2
SERVER6=fd00:2::2

# Brings the topology up.
up() {
    modprobe -a nf_conntrack nf_nat nf_tables nft_compat ip_tables ip6_tables veth
    host client lan0 1
    host server wan0 2
    sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# host NAMESPACE DEVICE NUMBER: a host behind a device of the router.
host() {
    ip netns add "$1"
    ip -n "$1" link set lo up
    ip link add "$2" type veth peer name eth0 netns "$1"
    ip address add "10.$3.0.1/24" dev "$2"
    ip address add "fd00:$3::1/64" dev "$2" nodad
    ip link set "$2" up
    ip -n "$1" address add "10.$3.0.2/24" dev eth0
    ip -n "$1" address add "fd00:$3::2/64" dev eth0 nodad
    ip -n "$1" link set eth0 up
    ip -n "$1" route add default via "10.$3.0.1"
    ip -n "$1" route add default via "fd00:$3::1"
}

# One echo request of the client to an address, answered or not.
echo_request() {
    ip netns exec client ping -q -n -c 1 -W 1 "$1" >/dev/null || true
}

# One attempt of the client to connect to a port of an address.
connect() {
    ip netns exec client nc -n -z -w 1 "$1" "$2" || true
}
