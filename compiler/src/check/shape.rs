//! What the checker asks of types: size, members, text; kernel types as the language sees them.

use nettrace_grammar::{Diagnostic, ast, codes};

use super::Checker;
use crate::kernel::{KernelTypeId, similar};
use crate::types::{Ty, Type, convert, layout, members, print};
