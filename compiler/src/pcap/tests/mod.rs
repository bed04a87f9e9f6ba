//! Tests of packet filters without libpcap.
