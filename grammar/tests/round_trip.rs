//! What the formatter prints parses to the tree it was printed from.

use nettrace_grammar::ast::*;
use nettrace_grammar::{SourceMap, Span, dump, parse, print, render};
use proptest::prelude::*;

/// Parses a script that must be correct: its tree, and the tree printed again.
fn parsed(script: &str) -> (String, String) {
    let mut map = SourceMap::new();
    let file = map.add("s.nt", script);
    let parsed = parse(&map, file);
    let errors = render::render(&map, &parsed.diags, false);
    assert!(errors.is_empty(), "{errors}\n{script}");
    (
        dump::ast(&parsed.script),
        print::script(&parsed.script, &map),
    )
}

fn round_trip(script: &str) {
    let (tree, printed) = parsed(script);
    let (tree_again, printed_again) = parsed(&printed);
    assert_eq!(tree, tree_again, "{printed}");
    assert_eq!(printed, printed_again);
}

#[test]
fn scripts_of_the_story() {
    for script in [
        include_str!("scripts/conntrack.nt"),
        include_str!("scripts/conntrack_first.nt"),
        include_str!("scripts/prerouting.nt"),
        include_str!("scripts/stacks.nt"),
    ] {
        round_trip(script);
    }
}

#[test]
fn corners() {
    for body in [
        "$x = - -1 - -$y;",
        "$x = !!~-*$p;",
        "$x = 1 - (2 - 3) - 4;",
        "$x = (1 ? 2 : 3) ? 4 ? 5 : 6 : 7 ? 8 : 9;",
        "$x = 1 ?: 2 ?: 3;",
        "$x = ($a, 1, 2);",
        "$x = (foo)(-1); $y = (foo) - 1; $z = (foo *) - 1;",
        "$x = (foo)(*$p); $y = (foo[4])(&$p);",
        "$x = (unsigned   long)1; $y = (const struct s *)2; $z = (const foo *)2;",
        "$x = (@m)[1]; $y = @m[1]; $z = @m[1][2]; $w = (@m[1])[2];",
        "$x = (1).0; $y = $t.0.1; $z = (1, 2).1;",
        "$x = $a->if.type->else;",
        "$x = (-$y).f; $z = (*$p).f; $w = *$p.f;",
        "@[1, 2]++; --@a; $x++; @ = 1;",
        "$x = (); $y = (1,); $z = ((1, 2), 3); @m[(1, 2)] = 1;",
        "$x = sizeof(struct s); $y = sizeof(foo); $z = sizeof(u8 *); $w = offsetof(struct s, a.b);",
        "let $x; let $y: u8; let $z: struct s *[4] = 1; let $w: string[16] = \"a\";",
        "if 1 { } else if 2 { return; } else { return 1 }",
        "if 1 { } else { if 2 { } exit(); }",
        "{ { } } ; ; { exit() }",
        "_ = f(); $x += 1; $x <<= 2; @m %= 3; $y = \"\\x00\\\"\\\\\\377é\";",
        "$x = 0xff + 5e9 + 1_000 + 10ms + 017 + $1 + $#;",
        "$x = $a & $b == $c | $d ^ $e && $f || $g;",
        "$x = $a < $b < $c; $y = $a << 1 + 2 * 3;",
        "$x = (uint16)$a << 8 | (uint8)$b++;",
    ] {
        round_trip(&format!("begin {{ {body} }}"));
    }
    round_trip("config = { a = b; c = 1_0; d = \"e f\"; g = true }\nend /1 / 2 \n/ { }");
    round_trip("uprobe:/bin/sh:\"f(int, long)\" , kprobe:f+0x10,\n{ }");
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["pid", "comm", "args", "retval", "x", "AF_INET", "iff"])
        .prop_map(String::from)
}

fn ident() -> impl Strategy<Value = Ident> {
    name().prop_map(|name| Ident {
        name,
        span: Span::default(),
    })
}

fn ty() -> impl Strategy<Value = TypeExpr> {
    let tag = prop::option::of(prop::sample::select(vec![
        TypeTag::Struct,
        TypeTag::Union,
        TypeTag::Enum,
    ]));
    let name = prop::sample::select(vec![
        "foo",
        "u8",
        "uint64",
        "pid_t",
        "unsigned long",
        "string",
    ]);
    let suffix = prop_oneof![
        Just(TypeSuffix::Pointer),
        any::<u64>().prop_map(|n| TypeSuffix::Array(Some(n))),
        Just(TypeSuffix::Array(None)),
    ];
    (tag, name, prop::collection::vec(suffix, 0..3)).prop_map(|(tag, name, suffixes)| TypeExpr {
        tag,
        name: Ident {
            name: name.to_string(),
            span: Span::default(),
        },
        suffixes,
        span: Span::default(),
    })
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    prop::sample::select(vec![
        Or, And, BitOr, BitXor, BitAnd, Eq, Ne, Lt, Gt, Le, Ge, Shl, Shr, Add, Sub, Mul, Div, Mod,
    ])
}

fn leaf() -> BoxedStrategy<ExprKind> {
    prop_oneof![
        any::<u64>().prop_map(ExprKind::Int),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(ExprKind::Str),
        any::<bool>().prop_map(ExprKind::Bool),
        name().prop_map(ExprKind::Ident),
        name().prop_map(ExprKind::Var),
        name().prop_map(|name| ExprKind::Map { name, key: None }),
        (1u32..).prop_map(ExprKind::Positional),
        Just(ExprKind::PositionalCount),
        Just(ExprKind::Tuple(Vec::new())),
        ty().prop_map(certain_size),
    ]
    .boxed()
}

/// `sizeof` of something that is a type by its looks: a bare unknown name would be read as an expression.
fn certain_size(mut ty: TypeExpr) -> ExprKind {
    if ty.tag.is_none() && ty.name.name == "foo" {
        ty.suffixes.push(TypeSuffix::Pointer);
    }
    ExprKind::Sizeof(Box::new(TypeOrExpr::Type(ty)))
}

fn wrap(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::default(),
    }
}

fn boxed(kind: ExprKind) -> Box<Expr> {
    Box::new(wrap(kind))
}

fn target() -> impl Strategy<Value = Expr> {
    let key = prop::option::of(prop::collection::vec(leaf().prop_map(wrap), 1..3));
    prop_oneof![
        name().prop_map(|name| wrap(ExprKind::Var(name))),
        (name(), key).prop_map(|(name, key)| wrap(ExprKind::Map { name, key })),
    ]
}

fn expr_kind() -> impl Strategy<Value = ExprKind> {
    leaf().prop_recursive(6, 40, 3, |inner| {
        let expr = || inner.clone().prop_map(wrap);
        let list = move |inner: BoxedStrategy<ExprKind>, range| prop::collection::vec(inner.prop_map(wrap), range);
        let unary = prop::sample::select(vec![UnaryOp::Neg, UnaryOp::Not, UnaryOp::BitNot, UnaryOp::Deref]);
        let step = prop::sample::select(vec![BinaryOp::Add, BinaryOp::Sub]);
        let offset_of = prop_oneof![
            Just(TypeOrExpr::Type(TypeExpr {
                tag: Some(TypeTag::Struct),
                name: Ident { name: "s".to_string(), span: Span::default() },
                suffixes: Vec::new(),
                span: Span::default(),
            })),
            expr().prop_map(TypeOrExpr::Expr),
        ];
        prop_oneof![
            3 => (binary_op(), expr(), expr()).prop_map(|(op, a, b)| ExprKind::Binary(op, Box::new(a), Box::new(b))),
            2 => (unary, expr()).prop_map(|(op, e)| ExprKind::Unary(op, Box::new(e))),
            1 => name().prop_map(|name| ExprKind::Unary(UnaryOp::AddressOf, boxed(ExprKind::Var(name)))),
            1 => (step, any::<bool>(), target()).prop_map(|(op, prefix, target)| ExprKind::IncDec {
                op,
                prefix,
                target: Box::new(target),
            }),
            1 => (expr(), prop::option::of(expr()), expr()).prop_map(|(cond, then, otherwise)| ExprKind::Ternary {
                cond: Box::new(cond),
                then: then.map(Box::new),
                otherwise: Box::new(otherwise),
            }),
            2 => (ty(), expr()).prop_map(|(ty, e)| ExprKind::Cast { ty, expr: Box::new(e) }),
            1 => (ident(), list(inner.clone().boxed(), 0..3)).prop_map(|(name, args)| ExprKind::Call { name, args }),
            1 => (name(), list(inner.clone().boxed(), 1..3)).prop_map(|(name, key)| ExprKind::Map { name, key: Some(key) }),
            1 => list(inner.clone().boxed(), 1..3).prop_map(ExprKind::Tuple),
            2 => (expr(), ident()).prop_map(|(base, field)| ExprKind::Field { base: Box::new(base), field }),
            1 => (expr(), any::<u32>()).prop_map(|(base, index)| ExprKind::TupleField { base: Box::new(base), index }),
            1 => (expr(), expr()).prop_map(|(base, index)| ExprKind::Index { base: Box::new(base), index: Box::new(index) }),
            1 => expr().prop_map(|e| ExprKind::Sizeof(Box::new(TypeOrExpr::Expr(e)))),
            1 => (offset_of, prop::collection::vec(ident(), 1..3)).prop_map(|(of, path)| ExprKind::Offsetof { of: Box::new(of), path }),
        ]
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    expr_kind().prop_map(wrap)
}

fn simple_stmt() -> impl Strategy<Value = StmtKind> {
    prop_oneof![
        expr().prop_map(StmtKind::Expr),
        (
            target(),
            prop::option::of(expr().prop_map(|_| BinaryOp::Add)),
            expr()
        )
            .prop_map(|(target, op, value)| StmtKind::Assign { target, op, value }),
        expr().prop_map(|value| StmtKind::Assign {
            target: wrap(ExprKind::Discard),
            op: None,
            value
        }),
        (ident(), prop::option::of(ty()), prop::option::of(expr()))
            .prop_map(|(var, ty, value)| StmtKind::Let { var, ty, value }),
        prop::option::of(expr()).prop_map(StmtKind::Return),
    ]
}

fn block(inner: impl Strategy<Value = StmtKind>) -> impl Strategy<Value = Block> {
    prop::collection::vec(inner, 0..3).prop_map(|kinds| Block {
        stmts: kinds
            .into_iter()
            .map(|kind| Stmt {
                kind,
                span: Span::default(),
            })
            .collect(),
        span: Span::default(),
    })
}

fn stmt() -> impl Strategy<Value = StmtKind> {
    simple_stmt().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            block(inner.clone()).prop_map(StmtKind::Block),
            (expr(), block(inner.clone()), prop::option::of(block(inner))).prop_map(
                |(cond, then, otherwise)| StmtKind::If {
                    cond,
                    then,
                    otherwise
                }
            ),
        ]
    })
}

fn script() -> impl Strategy<Value = Script> {
    let predicate = prop::option::of(expr());
    (predicate, block(stmt())).prop_map(|(predicate, body)| Script {
        probes: vec![Probe {
            attach_points: vec![AttachPoint {
                text: "kprobe:f".to_string(),
                span: Span::default(),
            }],
            predicate,
            body,
            span: Span::default(),
        }],
        ..Script::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_tree(script in script()) {
        let printed = print::script(&script, &SourceMap::new());
        let (tree, _) = parsed(&printed);
        prop_assert_eq!(tree, dump::ast(&script), "{}", printed);
        round_trip(&printed);
    }
}
