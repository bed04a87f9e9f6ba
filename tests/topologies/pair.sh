# Two hosts and a cable between them.
#
#   [peer] 10.9.0.2, fd00:9::2 --- pair0 10.9.0.1, fd00:9::1 [the case's own namespace]

HERE=10.9.0.1
PEER=10.9.0.2

# Brings the topology up.
up() {
    modprobe veth
    ip netns add peer
    ip -n peer link set lo up
    ip link add pair0 type veth peer name eth0 netns peer
    ip address add $HERE/24 dev pair0
    ip address add fd00:9::1/64 dev pair0 nodad
    ip link set pair0 up
    ip -n peer address add $PEER/24 dev eth0
    ip -n peer address add fd00:9::2/64 dev eth0 nodad
    ip -n peer link set eth0 up
}

# Three echo requests of the peer, all answered.
pings() {
    ip netns exec peer ping -q -n -c 3 -i 0.2 -W 5 $HERE
}
