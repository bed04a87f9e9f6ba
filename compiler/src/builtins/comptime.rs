//! What is known while compiling: the script's options, and what this kernel has. All of them are constants, so that `if comptime (…)`
//! leaves out what a kernel cannot do.

use nettrace_grammar::ast::{self, ExprKind as Ast};
use nettrace_grammar::{Diagnostic, codes};

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::kernel::{KernelType, TypeKind};
use crate::typed::{Expr, ExprKind};
use crate::types::{Type, Types, members};
use crate::unit::{OptionValue, default_value};

pub(super) static ROWS: &[Builtin] = &[
    row(
        "getopt",
        "bool, int64 or string getopt(string name[, default[, string description[, string allowed]]])",
        "An option of the script: `nettrace run SCRIPT --name=value`; without a default it is given or not. `--help` shows the descriptions. `allowed` are the words that it may be, with blanks between them.",
        check_getopt,
    ),
    row(
        "json_output",
        "bool json_output()",
        "Whether results are printed as JSON (`-f json`): then a script may print records in place of tables.",
        check_json_output,
    ),
    row(
        "type_exists",
        "bool type_exists(struct NAME)",
        "Whether the kernel or a loaded module has a struct, union, enum or typedef.",
        check_type_exists,
    ),
    row(
        "field_exists",
        "bool field_exists(struct NAME, a.b)",
        "Whether a struct or union has a field, at any depth.",
        check_field_exists,
    ),
    row(
        "function_exists",
        "bool function_exists(string name)",
        "Whether the kernel or a loaded module has a function of this name, by BTF.",
        check_function_exists,
    ),
    row(
        "symbol_exists",
        "bool symbol_exists(string name)",
        "Whether the kernel's list of symbols has a name, of a variable too: some kernels list functions only.",
        check_symbol_exists,
    ),
    row(
        "enum_exists",
        "bool enum_exists(NAME)",
        "Whether an enumeration of the kernel has this constant.",
        check_enum_exists,
    ),
    row(
        "is_a",
        "bool is_a(value, struct NAME)",
        "Whether a value is such a struct or a pointer to one: macros use it to serve several types.",
        check_is_a,
    ),
    row(
        "is_array",
        "bool is_array(value)",
        "Whether a value is an array; text is none. These questions are answered from the type, nothing is evaluated.",
        check_is_array,
    ),
    row(
        "is_integer",
        "bool is_integer(value)",
        "Whether a value is a number.",
        check_is_integer,
    ),
    row(
        "is_unsigned_integer",
        "bool is_unsigned_integer(value)",
        "Whether a value is a number without sign.",
        check_is_unsigned,
    ),
    row(
        "is_ptr",
        "bool is_ptr(value)",
        "Whether a value is a pointer.",
        check_is_ptr,
    ),
    row(
        "is_str",
        "bool is_str(value)",
        "Whether a value is a string.",
        check_is_str,
    ),
    row(
        "is_literal",
        "bool is_literal(value)",
        "Whether a value is a constant.",
        check_is_literal,
    ),
    row(
        "static_assert",
        "void static_assert(bool condition, string message)",
        "An error of the script with this message if the condition, a constant, does not hold.",
        check_static_assert,
    ),
    Builtin {
        form: Form::Variable,
        ..row(
            "ncpus",
            "int64 ncpus",
            "How many CPUs the machine can have that the script is compiled on.",
            check_ncpus,
        )
    },
    row(
        "default_str_length",
        "int64 default_str_length()",
        "The config option `max_strlen`.",
        check_default_str_length,
    ),
];

const fn row(
    name: &'static str,
    signature: &'static str,
    doc: &'static str,
    check: super::Check,
) -> Builtin {
    Builtin {
        name,
        form: Form::Function,
        signature,
        doc,
        check,
        lower: Lowering::Never,
    }
}

fn truth(site: &CallSite<'_>, truth: bool) -> Option<Expr> {
    Some(Expr {
        kind: ExprKind::Int(i64::from(truth)),
        ty: Types::BOOL,
        span: site.span,
    })
}

/// A constant: the option's value, else its default.
fn check_getopt(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=4)?;
    let name = c.literal_text(site.args.first()?, "the name of an option")?;
    if let Some(text) = site.args.get(2) {
        c.literal_text(text, "the description of an option")?;
    }
    if let Some(text) = site.args.get(3) {
        c.literal_text(text, "what an option may be")?;
    }
    let default = match site.args.get(1) {
        None => OptionValue::Flag(false),
        Some(e) => match default_value(e) {
            Some(default) => default,
            None => {
                let message = "the default of an option is a number, a string, `true` or `false`";
                c.report(Diagnostic::error(codes::BAD_ARGUMENT, e.span, message));
                return None;
            }
        },
    };
    let value = c.option(&name).cloned().unwrap_or(default);
    let (n, ty) = match value {
        OptionValue::Text(text) => return Some(c.string(text.into_bytes(), site.span)),
        OptionValue::Flag(flag) => (i64::from(flag), Types::BOOL),
        OptionValue::Number(n) => (n, Types::I64),
    };
    Some(Expr {
        kind: ExprKind::Int(n),
        ty,
        span: site.span,
    })
}

fn check_json_output(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    truth(site, c.json_output)
}

/// The kind and name of a type that is asked about.
fn asked_type(c: &mut Checker<'_>, e: &ast::Expr) -> Option<(Vec<TypeKind>, String)> {
    match &e.kind {
        Ast::Type(ty) => {
            let kind = match ty.tag {
                Some(ast::TypeTag::Struct) => TypeKind::Struct,
                Some(ast::TypeTag::Union) => TypeKind::Union,
                Some(ast::TypeTag::Enum) => TypeKind::Enum,
                None => TypeKind::Typedef,
            };
            Some((vec![kind], ty.name.name.clone()))
        }
        Ast::Ident(name) => Some((vec![TypeKind::Typedef, TypeKind::Int], name.clone())),
        _ => {
            let message = "this is not a type";
            c.report(
                Diagnostic::error(codes::BAD_ARGUMENT, e.span, message).help(
                    "write `struct NAME`, `union NAME`, `enum NAME` or the name of a typedef",
                ),
            );
            None
        }
    }
}

fn check_type_exists(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let (kinds, name) = asked_type(c, site.args.first()?)?;
    truth(
        site,
        kinds
            .iter()
            .any(|kind| c.kernel.find_type(*kind, &name).is_some()),
    )
}

fn check_field_exists(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let [of, path] = site.args else { return None };
    let (kinds, name) = asked_type(c, of)?;
    let mut names = Vec::new();
    if !member_path(path, &mut names) {
        let message = "this is not the path of a field";
        c.report(
            Diagnostic::error(codes::BAD_ARGUMENT, path.span, message).help(
                "write the names as behind a variable: `field_exists(struct nf_conn, tuplehash)`",
            ),
        );
        return None;
    }
    let mut at = kinds
        .iter()
        .find_map(|kind| c.kernel.find_type(*kind, &name));
    for name in names {
        at = at.and_then(|id| Some(members::find(c.kernel, id, name)?.ty));
    }
    truth(site, at.is_some())
}

/// The names of `a.b.c`.
fn member_path<'e>(e: &'e ast::Expr, names: &mut Vec<&'e str>) -> bool {
    match &e.kind {
        Ast::Ident(name) => names.push(name),
        Ast::Field { base, field } => {
            if !member_path(base, names) {
                return false;
            }
            names.push(&field.name);
        }
        _ => return false,
    }
    true
}

fn check_function_exists(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let arg = site.args.first()?;
    let name = match &arg.kind {
        Ast::Ident(name) => name.clone(),
        _ => c.literal_text(arg, "the name of a function")?,
    };
    truth(site, !c.kernel.functions(&name, None).is_empty())
}

fn check_symbol_exists(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let name = c.literal_text(site.args.first()?, "the name of a symbol")?;
    truth(site, !c.kernel.symbol(&name).is_empty())
}

fn check_enum_exists(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let arg = site.args.first()?;
    let name = match &arg.kind {
        Ast::Ident(name) => name.clone(),
        _ => c.literal_text(arg, "the name of a constant")?,
    };
    truth(site, c.kernel.enumerator(&name).is_some())
}

fn check_is_a(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let [value, of] = site.args else { return None };
    let (_, name) = asked_type(c, of)?;
    let value = c.expr(value)?;
    let mut ty = value.ty;
    while let Some(to) = c.pointee(ty) {
        ty = to;
    }
    let is = match *c.types.get(ty) {
        Type::Record(id) => match &*c.kernel.ty(id) {
            KernelType::Record(record) => record.name == name,
            KernelType::Forward { name: declared, .. } => *declared == name,
            _ => false,
        },
        _ => false,
    };
    truth(site, is)
}

fn ask_type(
    c: &mut Checker<'_>,
    site: &CallSite<'_>,
    is: impl FnOnce(&Type) -> bool,
) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let value = c.expr(site.args.first()?)?;
    truth(site, is(c.types.get(value.ty)))
}

fn check_is_array(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    ask_type(c, site, |ty| matches!(ty, Type::Array { .. }))
}

fn check_is_integer(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    ask_type(c, site, |ty| matches!(ty, Type::Int { .. }))
}

fn check_is_unsigned(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    ask_type(c, site, |ty| matches!(ty, Type::Int { signed: false, .. }))
}

fn check_is_ptr(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    ask_type(c, site, |ty| matches!(ty, Type::Pointer { .. }))
}

fn check_is_str(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    ask_type(c, site, |ty| matches!(ty, Type::Str { .. }))
}

fn check_is_literal(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let value = c.expr(site.args.first()?)?;
    truth(
        site,
        matches!(value.kind, ExprKind::Int(_) | ExprKind::Str(_)),
    )
}

/// Nothing is left of it: the value is a constant of type `void`.
fn check_static_assert(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let [condition, message] = site.args else {
        return None;
    };
    let holds = c.literal_number(
        condition,
        "the condition of static_assert()",
        i64::MIN..=i64::MAX,
    )?;
    let message = c.literal_text(message, "the message of static_assert()")?;
    if holds == 0 {
        c.report(Diagnostic::error(codes::CONSTANT_FAULT, site.span, message));
        return None;
    }
    Some(Expr {
        kind: ExprKind::Int(0),
        ty: Types::VOID,
        span: site.span,
    })
}

fn check_default_str_length(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(Expr {
        kind: ExprKind::Int(i64::from(c.limits.max_strlen)),
        ty: Types::I64,
        span: site.span,
    })
}

fn check_ncpus(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    let Some(cpus) = c.kernel.machine().cpus() else {
        let message = "how many CPUs there are is not known here";
        c.report(
            Diagnostic::error(codes::NOT_CONSTANT, site.span, message)
                .help("compile on the machine that the script is to run on"),
        );
        return None;
    };
    Some(Expr {
        kind: ExprKind::Int(i64::from(cpus)),
        ty: Types::I64,
        span: site.span,
    })
}
