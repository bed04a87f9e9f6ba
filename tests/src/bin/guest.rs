//! The first process of a test guest: see `nettrace_tests::guest`.

fn main() {
    nettrace_tests::guest::main()
}
