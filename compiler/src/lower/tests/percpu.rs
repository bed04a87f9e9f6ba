//! Per-CPU variables: in this machine the kernel's own tables cannot be read, so offsets are 0 and no CPU exists.

use super::{begin, shows};

#[test]
fn a_place_and_an_offset() {
    shows(
        &begin(
            r#"print((uint64)percpu_kaddr("softnet_data")); print((uint64)percpu_kaddr("softnet_data", 0));"#,
        ),
        "print 224192\nprint 0",
    );
}
