//! A tracepoint's record as BTF tells it.
//!
//! In: an event's name. Out: its fields, from the struct that the kernel fills for it. For who cannot read tracefs: without
//! privilege, or about another machine. Events that share a class with others, and those of system calls, have no such struct.

use nettrace_compiler::kernel::{
    Kernel, KernelType, Record, Tracepoint, TracepointField, TypeKind,
};
use nettrace_compiler::types::{convert, layout, print};

const PREFIX: &str = "trace_event_raw_";
/// How a field of variable length is called in that struct.
const DATA_LOC: &str = "__data_loc_";

/// The tracepoint, if BTF has the struct of its record.
pub(super) fn tracepoint(kernel: &dyn Kernel, category: &str, event: &str) -> Option<Tracepoint> {
    let id = kernel.find_type(TypeKind::Struct, &format!("{PREFIX}{event}"))?;
    let KernelType::Record(record) = &*kernel.ty(id) else {
        return None;
    };
    Some(Tracepoint {
        category: category.to_string(),
        event: event.to_string(),
        fields: fields(kernel, record),
    })
}

fn fields(kernel: &dyn Kernel, record: &Record) -> Vec<TracepointField> {
    // `ent` holds the `common_*` fields, `__data` what `__data_loc` leads to.
    let own = |name: &str| !matches!(name, "" | "ent" | "__data");
    let fields = record.members.iter().filter(|m| own(&m.name));
    fields
        .map(|member| {
            let variable = member.name.strip_prefix(DATA_LOC);
            let c_type = match variable {
                // Text or not: BTF does not tell; nearly all are text.
                Some(_) => "__data_loc char[]".to_string(),
                None => print::kernel_type(kernel, member.ty),
            };
            let ty = kernel.ty(convert::underlying(kernel, member.ty));
            TracepointField {
                name: variable.unwrap_or(&member.name).to_string(),
                c_type,
                offset: member.bit_offset / 8,
                size: layout::kernel_size(kernel, member.ty).unwrap_or(0),
                signed: matches!(&*ty, KernelType::Int { signed: true, .. }),
            }
        })
        .collect()
}
