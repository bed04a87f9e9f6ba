# Two hosts, a cable, and what goes through it in disguise.
#
#   [peer] eth0 10.60.0.2 -------------------- pair0 10.60.0.1 [the case's own namespace]
#          vx0  10.50.1.2  ....... VXLAN ..... vx0   10.50.1.1
#          gre5 10.50.2.2  ........ GRE ...... gre5  10.50.2.1
#          eth0.7 10.50.3.2 ..... VLAN 7 ..... pair0.7 10.50.3.1

# Brings the topology up.
up() {
    modprobe -a veth vxlan ip_gre 8021q
    ip netns add peer
    ip -n peer link set lo up
    ip link add pair0 type veth peer name eth0 netns peer
    side "" pair0 1 2
    side "-n peer" eth0 2 1
}

# side NAMESPACE DEVICE OWN OTHER: one end of everything; the last two are the ends of the addresses.
side() {
    ip $1 address add 10.60.0.$3/24 dev $2
    ip $1 link set $2 up
    ip $1 link add vx0 type vxlan id 5 dstport 4789 local 10.60.0.$3 remote 10.60.0.$4
    ip $1 address add 10.50.1.$3/24 dev vx0
    ip $1 link add gre5 type gre local 10.60.0.$3 remote 10.60.0.$4
    ip $1 address add 10.50.2.$3/24 dev gre5
    ip $1 link add link $2 name $2.7 type vlan id 7
    ip $1 address add 10.50.3.$3/24 dev $2.7
    ip $1 address add 10.50.4.$3/24 dev $2
    for device in vx0 gre5 $2.7; do
        ip $1 link set $device up
    done
}

# echo_request NET: one echo request of the peer to this host through a network, and its answer.
echo_request() {
    ip netns exec peer ping -q -n -c 1 -W 5 ${2:+-s $2} 10.50.$1.1 >/dev/null
}
