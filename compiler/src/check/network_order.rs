//! Numbers in network byte order, and warnings where they are used as if they were in the machine's.
//!
//! The kernel's types `__be16`, `__be32` and `__be64` say so of members and arguments. In: places with such a type; variables that hold
//! nothing else. Out: a warning where one is compared with a constant or printed as a decimal number, unless the constant reads the
//! same both ways, or is an address written out in hexadecimal. The type itself is that of the plain number: nothing else changes.

use nettrace_grammar::{Diagnostic, Span, codes};

use super::Checker;
use super::fold;
use super::infer::int_shape;
use crate::kernel::{KernelType, KernelTypeId};
use crate::typed::{Expr, ExprKind, VarId};
use crate::types::convert::is_network_order;

/// Deepest chain of typedefs and arrays that is followed.
const MAX_DEPTH: u32 = 64;

/// What is known of the numbers that a variable has been assigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Order {
    /// None yet.
    #[default]
    Unknown,
    /// All in network byte order.
    Network,
    /// Others too.
    Mixed,
}

impl Checker<'_> {
    /// Notes that what stands here has this type of the kernel.
    pub(super) fn note_order(&mut self, span: Span, id: KernelTypeId) {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            if is_network_order(self.kernel, id) {
                self.network.insert(span);
                return;
            }
            id = match &*self.kernel.ty(id) {
                KernelType::Typedef { to, .. } => *to,
                KernelType::Array { elem, .. } => *elem,
                _ => return,
            };
        }
    }

    /// Notes that what stands here is as much in network byte order as a part of it.
    pub(super) fn same_order(&mut self, span: Span, part: Span) {
        if self.network.contains(&part) {
            self.network.insert(span);
        }
    }

    /// Notes what a variable is assigned.
    pub(super) fn assign_order(&mut self, id: VarId, value: Span) {
        let network = self.network.contains(&value);
        if let Some(var) = self.vars.get(id) {
            let order = match (var.order, network) {
                (Order::Unknown | Order::Network, true) => Order::Network,
                _ => Order::Mixed,
            };
            self.vars[id].order = order;
        }
    }

    /// Notes that a variable is read here.
    pub(super) fn read_order(&mut self, id: VarId, span: Span) {
        if self.vars.get(id).is_some_and(|v| v.order == Order::Network) {
            self.network.insert(span);
        }
    }

    /// Warns about a comparison of such a number with a constant of the machine's order.
    pub(super) fn warn_compared(&mut self, a: &Expr, b: &Expr, span: Span) {
        for (value, constant) in [(a, b), (b, a)] {
            let ExprKind::Int(n) = constant.kind else {
                continue;
            };
            if !self.network.contains(&value.span) || self.network.contains(&constant.span) {
                continue;
            }
            let bytes = int_shape(self.types, value.ty).map_or(0, |(bytes, _)| bytes);
            if bytes < 2 || same_both_ways(n, bytes) || written_out(constant.span, bytes) {
                continue;
            }
            let message = format!(
                "this number is in network byte order (__be{}); {n} is not",
                8 * bytes
            );
            let swapped = swapper(bytes);
            self.warn(
                Diagnostic::warning(codes::NETWORK_ORDER, span, message)
                    .also(value.span, "in network byte order")
                    .help(format!("did you mean `{swapped}(…)` around it?")),
            );
        }
    }

    /// Warns about such a number that is printed as a decimal one.
    pub(super) fn warn_printed(&mut self, value: &Expr, conversion: &str) {
        let constant = fold::constant(value, self.types).is_some();
        let bytes = int_shape(self.types, value.ty).map_or(0, |(bytes, _)| bytes);
        if constant || bytes < 2 || !self.network.contains(&value.span) {
            return;
        }
        let message = format!(
            "`{conversion}` prints this number as if it were in the machine's byte order; it is in network byte order (__be{})",
            8 * bytes
        );
        let address = match bytes {
            4 => "; an address is printed by `%s` and `ntop(…)`",
            _ => "",
        };
        let swapped = swapper(bytes);
        self.warn(
            Diagnostic::warning(codes::NETWORK_ORDER, value.span, message)
                .help(format!("did you mean `{swapped}(…)` around it?{address}")),
        );
    }
}

/// What turns such a number round.
fn swapper(bytes: u8) -> &'static str {
    match bytes {
        2 => "ntohs",
        4 => "ntohl",
        _ => "bswap",
    }
}

/// Whether a constant has as many letters as all digits of such a number in hexadecimal: `0x020011ac` is an address as it stands in
/// memory. Not so for 16 bits, where `0x0800` is the protocol as people write it.
fn written_out(constant: Span, bytes: u8) -> bool {
    bytes > 2 && constant.hi - constant.lo == 2 + 2 * u32::from(bytes)
}

/// Whether the low bytes of a number are the same in both orders.
fn same_both_ways(n: i64, bytes: u8) -> bool {
    let swapped = match bytes {
        2 => i64::from((n as u16).swap_bytes()),
        4 => i64::from((n as u32).swap_bytes()),
        _ => n.swap_bytes(),
    };
    swapped == fold::extend(n, bytes, false)
}
