//! Tests of packet filters without libpcap: messages, what a filter asks the kernel, names, and input that is no filter.
//!
//! That filters mean what libpcap makes of them is shown by `tests/tests/pcap`.

mod errors;
mod meaning;
mod robust;
mod run;
