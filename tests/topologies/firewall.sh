# A machine that drops connections to one port, as in the story "Down the rabbit hole".
#
#   [client] 192.168.1.2 --- fw0 192.168.1.1 [the case's own namespace]: INPUT drops TCP port 2570
#
# Connection tracking sees the SYN in PRE_ROUTING and makes an entry; the filter drops the packet in
# LOCAL_IN, before the entry is confirmed, and with the packet goes the entry. Port 2570 is 0x0a0a and
# reads the same in both byte orders.

FIREWALL=192.168.1.1
CLIENT=192.168.1.2
PORT=2570

# Brings the topology up.
up() {
    modprobe -a nf_conntrack veth
    ip netns add client
    ip -n client link set lo up
    ip link add fw0 type veth peer name eth0 netns client
    ip address add $FIREWALL/24 dev fw0
    ip link set fw0 up
    ip -n client address add $CLIENT/24 dev eth0
    ip -n client link set eth0 up
    iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    iptables -A INPUT -p tcp --dport $PORT -j DROP
}

# One attempt to connect: a SYN, and another one a second later, both dropped.
syn() {
    ip netns exec client nc -n -z -w 2 -p 40002 $FIREWALL $PORT || true
}
