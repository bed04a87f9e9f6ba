# A tun device through which hand-made packets enter, as in the story "Packet, packet, who's got the packet".
#
#   a program --- tun0 [the case's own namespace, a router] out0 10.8.0.1 --- 10.8.0.2 eth0 [target] 192.168.255.8
#
# tun0 has the address 172.30.0.1, from which the program's packets claim to come, until `readdress` changes it.

# The packet of the story: a TCP SYN from 172.30.0.1 to 192.168.255.8 port 10001, 60 bytes, with a right checksum.
SYN=4500003cd86f40003f06f77bac1e0001c0a8ff08a29a2711800b637900000000a002faf078c30000020405b40402080a5b765fd40000000001030307
# The same with a wrong checksum of the IP header.
BAD_SYN=4500003cd86f40003f06f77cac1e0001c0a8ff08a29a2711800b637900000000a002faf078c30000020405b40402080a5b765fd40000000001030307

# Brings the topology up.
up() {
    modprobe -a veth tun
    ip tuntap add dev tun0 mode tun
    ip address add 172.30.0.1/32 dev tun0
    ip link set tun0 up
    ip netns add target
    ip -n target link set lo up
    ip link add out0 type veth peer name eth0 netns target
    ip address add 10.8.0.1/24 dev out0
    ip link set out0 up
    ip -n target address add 10.8.0.2/24 dev eth0
    ip -n target address add 192.168.255.8/32 dev lo
    ip -n target link set eth0 up
    ip -n target route add default via 10.8.0.1
    ip route add 192.168.255.8/32 via 10.8.0.2
    # Routes to the program's addresses, so that the answer finds its way.
    sysctl -q net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tun0.rp_filter=0
    ping -q -c1 -W2 10.8.0.2 >/dev/null
}

# write_packet HEX: writes one packet into the device, as a program that has it open does.
write_packet() {
    perl -e '
        open(my $tun, "+<", "/dev/net/tun") or die "/dev/net/tun: $!";
        my $request = pack("a16 S x22", "tun0", 0x1001); # IFF_TUN | IFF_NO_PI
        ioctl($tun, 0x400454ca, $request) or die "TUNSETIFF: $!";
        syswrite($tun, pack("H*", $ARGV[0])) or die "write: $!";
        select(undef, undef, undef, 0.3);' "$1"
}

# readdress: what the story's author changed in the end.
readdress() {
    ip address del 172.30.0.1/32 dev tun0
    ip address add 172.30.0.10/32 dev tun0
    ip route add 172.30.0.1/32 dev tun0
}
