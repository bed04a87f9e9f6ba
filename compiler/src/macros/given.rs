//! `printf("…", getvalues("option", x))`: expressions that an option of the script gives, at the end of a line.
//!
//! In: a call of `printf` whose last argument names such an option. Out: the format with a conversion for each expression, `text=%s`, in
//! front of the line's end, and the expressions as arguments, with the second argument of `getvalues` in place of `skb`.

use nettrace_grammar::ast::{Expr, ExprKind, Ident, Macro, MacroParam, MacroParamKind, ValueBlock};

use super::body::Body;
use super::{GIVEN_VALUES, Given};

/// What the packet is called in such expressions.
const PACKET: &str = "skb";

/// Puts the values in place of the last argument, if that asks for them.
pub(super) fn append(args: &mut Vec<Expr>, given: &[Given]) {
    let Some((option, of)) = args.last().and_then(asked) else {
        return;
    };
    args.pop();
    let mut names = String::new();
    for value in given.iter().filter(|value| value.option == option) {
        names.push_str(&format!(" {}=%s", value.text.replace('%', "%%")));
        args.push(about(&value.expr, &of));
    }
    if let Some(ExprKind::Str(format)) = args.first_mut().map(|format| &mut format.kind) {
        let ends = format.last() == Some(&b'\n');
        if ends {
            format.pop();
        }
        format.extend(names.bytes());
        if ends {
            format.push(b'\n');
        }
    }
}

/// The option and the packet of `getvalues("option", packet)`.
fn asked(e: &Expr) -> Option<(String, Expr)> {
    let ExprKind::Call { name, args } = &e.kind else {
        return None;
    };
    let [option, of] = args.as_slice() else {
        return None;
    };
    match &option.kind {
        ExprKind::Str(text) if name.name == GIVEN_VALUES => {
            Some((String::from_utf8_lossy(text).into_owned(), of.clone()))
        }
        _ => None,
    }
}

/// An expression about this packet: as a macro of one parameter would have it.
fn about(e: &Expr, of: &Expr) -> Expr {
    let ident = |name: &str| Ident {
        name: name.to_string(),
        span: e.span,
    };
    let definition = Macro {
        name: ident(GIVEN_VALUES),
        params: vec![MacroParam {
            name: ident(PACKET),
            kind: MacroParamKind::Value,
        }],
        body: ValueBlock {
            stmts: Vec::new(),
            value: Some(Box::new(e.clone())),
            expands: None,
            span: e.span,
        },
        span: e.span,
    };
    let copy = Body::of(&definition, std::slice::from_ref(of), 0, &definition.name);
    match copy.block.value {
        Some(value) => *value,
        None => e.clone(),
    }
}
