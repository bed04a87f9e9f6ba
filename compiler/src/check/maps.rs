//! Uses of maps: shape, keys and values.

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::infer::Inferred;
use super::state::{Shape, Stored};
use super::{CallSite, Checker};
use crate::kernel::similar;
use crate::typed::{Aggregate, Expr, ExprKind, ScriptMapId};
use crate::types::{Space, Ty, Type, Types};

/// A map as a whole, as `print(@m)` names it.
pub(crate) fn whole(e: &ast::Expr) -> Option<&str> {
    match &e.kind {
        ast::ExprKind::Map { name, key: None } => Some(name),
        _ => None,
    }
}

/// The map of `print(@m)`, `clear(@m)`, `zero(@m)`.
pub(crate) fn printable(c: &mut Checker<'_>, name: &str, span: Span) -> Option<ScriptMapId> {
    let id = c.maps.id(name, span);
    c.expect_stored(id, span)?;
    Some(id)
}

/// Whether a map is known to be a single value.
pub(crate) fn scalar(c: &mut Checker<'_>, name: &str) -> bool {
    let known = c.maps.maps.iter().find(|map| map.name == name);
    known.is_some_and(|map| matches!(map.shape, Shape::Scalar(_)))
}

/// A map with keys, as `len(@m)` names it.
pub(crate) fn keyed(c: &mut Checker<'_>, name: &str, span: Span) -> Option<ScriptMapId> {
    let id = c.maps.id(name, span);
    c.expect_stored(id, span)?;
    Some(id)
}

/// The entry of `delete(@m, key)`, `delete(@m[key])` or `delete(@scalar)`; that of `has_key(@m, key)`.
pub(crate) fn entry(
    c: &mut Checker<'_>,
    site: &CallSite<'_>,
) -> Option<(ScriptMapId, Option<Expr>)> {
    let first = site.args.first()?;
    let help = format!("write `{}(@map, key)`", site.row.name);
    let ast::ExprKind::Map { name, key } = &first.kind else {
        let message = format!("{}() takes a map", site.row.name);
        c.report(Diagnostic::error(codes::BAD_ARGUMENT, first.span, message).help(help));
        return None;
    };
    let (id, key) = match (key, site.args.get(1)) {
        (Some(_), Some(extra)) => {
            c.report(
                Diagnostic::error(codes::BAD_ARGUMENT, extra.span, "the key is given twice")
                    .help(help),
            );
            return None;
        }
        (Some(key), None) => c.map_place(name, Some(key), first.span)?,
        // A tuple is several keys.
        (None, Some(key)) => match &key.kind {
            ast::ExprKind::Tuple(items) if items.len() > 1 => {
                c.map_place(name, Some(items), first.span)?
            }
            _ => c.map_place(name, Some(std::slice::from_ref(key)), first.span)?,
        },
        (None, None) => c.map_place(name, None, first.span)?,
    };
    c.expect_stored(id, first.span)?;
    Some((id, key))
}

impl Checker<'_> {
    /// A map or one of its entries, with the key in the map's key type.
    pub(super) fn map_place(
        &mut self,
        name: &str,
        key: Option<&[ast::Expr]>,
        span: Span,
    ) -> Option<(ScriptMapId, Option<Expr>)> {
        let id = self.maps.id(name, span);
        let key_value = key.map(|items| self.key_value(items, span));
        self.shape(id, key.is_some(), span)?;
        match key_value {
            None => Some((id, None)),
            Some(value) => Some((id, Some(self.key(id, value?, span)?))),
        }
    }

    /// The type that a new map gets: in a session with room for what later entries may store.
    fn roomy(&mut self, inferred: Inferred) -> Inferred {
        let ty = match *self.types.get(inferred.ty) {
            _ if !self.maps.lives_on() => return inferred,
            Type::Int { signed, .. } => Types::int(8, signed),
            Type::Str { cap } => self.types.intern(Type::Str { cap: cap.max(64) }),
            _ => return inferred,
        };
        Inferred { ty, ..inferred }
    }

    /// Says of a map that lives on that it cannot become what is wanted.
    fn keeps(&self, id: ScriptMapId, diag: Diagnostic) -> Diagnostic {
        let map = &self.maps.maps[id];
        match map.known {
            true => diag.note(format!(
                "`@{}` lives on from an earlier entry and keeps its type",
                map.name
            )),
            false => diag,
        }
    }

    fn shape(&mut self, id: ScriptMapId, keyed: bool, span: Span) -> Option<()> {
        let map = &mut self.maps.maps[id];
        let (first, message, help) = match (&map.shape, keyed) {
            (Shape::Unknown, keyed) => {
                map.shape = if keyed {
                    Shape::Keyed(span)
                } else {
                    Shape::Scalar(span)
                };
                self.grew = true;
                return Some(());
            }
            (Shape::Scalar(_), false) | (Shape::Keyed(_), true) => return Some(()),
            (Shape::Scalar(first), true) => (
                *first,
                format!(
                    "`@{}` is used with a key here and without one elsewhere",
                    map.name
                ),
                "use two maps, one with keys and one without",
            ),
            (Shape::Keyed(first), false) => (
                *first,
                format!("`@{}` has keys and is used without one here", map.name),
                "name an entry: `@map[key]`",
            ),
        };
        let diag = Diagnostic::error(codes::MAP_SHAPE, span, message);
        let diag = diag.also(first, "used the other way here").help(help);
        let diag = self.keeps(id, diag);
        self.report(diag);
        None
    }

    /// The key as written; several parts make a tuple.
    fn key_value(&mut self, items: &[ast::Expr], span: Span) -> Option<Expr> {
        let value = match items {
            [one] => {
                let value = self.value(one)?;
                self.local_value(value)?
            }
            _ => {
                let at = match (items.first(), items.last()) {
                    (Some(a), Some(b)) => a.span.to(b.span),
                    _ => span,
                };
                self.tuple(items, at)?
            }
        };
        let bad = match self.types.get(value.ty) {
            Type::Pointer {
                space: Space::Context,
                ..
            } => Some("a pointer into the context"),
            Type::Tuple(items) if items.is_empty() => Some("an empty tuple"),
            Type::NamedTuple(_) if self.size_of(value.ty) == Some(0) => Some("an empty record"),
            _ => None,
        };
        if let Some(bad) = bad {
            let message = format!("{bad} cannot be a key");
            self.error(codes::TYPE_MISMATCH, value.span, message);
            return None;
        }
        Some(value)
    }

    /// Gives a key the map's key type, which grows if need be.
    fn key(&mut self, id: ScriptMapId, value: Expr, span: Span) -> Option<Expr> {
        let new = self.inferred(&value);
        let old = self.maps.maps[id].key.clone();
        let joined = match &old {
            None => Some(new),
            Some(old) => self.join(old, &new),
        };
        let joined = joined.map(|joined| self.roomy(joined));
        let known = self.maps.maps[id].known;
        let joined =
            joined.filter(|joined| !known || old.as_ref().is_none_or(|old| old.ty == joined.ty));
        let Some(joined) = joined else {
            let (name, first) = (self.maps.maps[id].name.clone(), self.maps.maps[id].span);
            let old = old.map_or(Types::POISON, |k| k.ty);
            let (new, old) = (self.describe(value.ty), self.describe(old));
            let message = format!("the keys of `@{name}` are {old}; this one is {new}");
            let _ = span;
            let diag = Diagnostic::error(codes::MAP_SHAPE, value.span, message);
            let diag = self.keeps(id, diag.also(first, "first used here"));
            self.report(diag);
            return None;
        };
        let ty = joined.ty;
        if old.as_ref() != Some(&joined) {
            self.grew = true;
            self.maps.maps[id].key = Some(joined);
        }
        Some(self.convert(value, ty))
    }

    /// `@m`, `@m[k]` as a value.
    pub(super) fn read_map(
        &mut self,
        name: &str,
        key: Option<&[ast::Expr]>,
        span: Span,
    ) -> Option<Expr> {
        let (id, key) = self.map_place(name, key, span)?;
        self.expect_stored(id, span)?;
        let key = key.map(Box::new);
        match self.maps.maps[id].value.clone()? {
            Stored::Plain(value) => Some(Expr {
                kind: ExprKind::Map(id, key),
                ty: value.ty,
                span,
            }),
            Stored::Aggregate(kind) => Some(Expr {
                kind: ExprKind::MapTotal(id, key),
                ty: self.total_type(kind, name, span)?,
                span,
            }),
        }
    }

    /// The type of an aggregation's total; those that are no single number are reported.
    pub(super) fn total_type(&mut self, kind: Aggregate, name: &str, span: Span) -> Option<Ty> {
        let signed = match kind {
            Aggregate::Count => false,
            Aggregate::Sum { signed }
            | Aggregate::Avg { signed }
            | Aggregate::Min { signed }
            | Aggregate::Max { signed } => signed,
            Aggregate::Stats { .. } | Aggregate::Hist { .. } | Aggregate::Lhist { .. } => {
                let message = format!("`@{name}` is {} and has no single value", name_of(kind));
                let help = format!("print the whole map: `print(@{name})`");
                self.report(Diagnostic::error(codes::NOT_A_VALUE, span, message).help(help));
                return None;
            }
        };
        Some(Types::int(8, signed))
    }

    /// Reports a map in which nothing is ever stored.
    fn expect_stored(&mut self, id: ScriptMapId, span: Span) -> Option<()> {
        let map = &self.maps.maps[id];
        if map.value.is_some() || map.assigned || !self.last_pass {
            return Some(());
        }
        let name = self.maps.maps[id].name.clone();
        let message = format!("nothing is ever stored in `@{name}`");
        let names = self
            .maps
            .maps
            .iter()
            .filter(|m| m.value.is_some())
            .map(|m| m.name.as_str());
        let near: Vec<String> = similar::nearest(&name, names)
            .iter()
            .map(|n| format!("@{n}"))
            .collect();
        let diag = Diagnostic::error(codes::UNKNOWN_VARIABLE, span, message);
        self.report(self.suggest(diag, &near));
        None
    }

    /// Notes that something is stored, whether or not its type is known.
    pub(super) fn note_stored(&mut self, id: ScriptMapId) {
        self.maps.maps[id].assigned = true;
    }

    /// Decides or widens what a map stores.
    pub(super) fn decide_value(&mut self, id: ScriptMapId, value: Stored, span: Span) {
        let map = &mut self.maps.maps[id];
        if map.known {
            return;
        }
        if map.value.is_none() {
            map.decided = span;
        }
        if map.value.as_ref() != Some(&value) {
            map.value = Some(value);
            self.grew = true;
        }
    }

    /// Gives a plain value the map's type, which grows if need be.
    pub(super) fn store_map(&mut self, id: ScriptMapId, value: Expr, span: Span) -> Option<Expr> {
        let value = self.local_value(value)?;
        if let (true, Some(Stored::Plain(known))) =
            (self.maps.maps[id].known, &self.maps.maps[id].value)
        {
            let (ty, defined) = (known.ty, self.maps.maps[id].decided);
            let what = format!("@{}", self.maps.maps[id].name);
            return self.fit(value, ty, &what, defined);
        }
        let new = self.inferred(&value);
        let joined = match self.maps.maps[id].value.clone() {
            None => Some(new),
            Some(Stored::Plain(old)) => match self.join(&old, &new) {
                Some(joined) => Some(joined),
                None => {
                    let what = format!("@{}", self.maps.maps[id].name);
                    let first = self.maps.maps[id].decided;
                    self.other_type(&what, value.ty, old.ty, value.span, first);
                    None
                }
            },
            Some(Stored::Aggregate(_)) => {
                self.aggregate_not_plain(id, span);
                None
            }
        }?;
        let joined = self.roomy(joined);
        let ty = joined.ty;
        self.decide_value(id, Stored::Plain(joined), span);
        Some(self.convert(value, ty))
    }

    pub(super) fn aggregate_not_plain(&mut self, id: ScriptMapId, span: Span) {
        let map = &self.maps.maps[id];
        let Some(Stored::Aggregate(kind)) = map.value else {
            return;
        };
        let message = format!(
            "`@{}` is {}: only that can be stored in it",
            map.name,
            name_of(kind)
        );
        let first = map.decided;
        let diag = Diagnostic::error(codes::MAP_SHAPE, span, message);
        let diag = self.keeps(id, diag.also(first, "decided here"));
        self.report(diag.help("use another map"));
    }

    /// Makes a map an aggregation, or checks that it is the same one.
    pub(super) fn store_aggregate(
        &mut self,
        id: ScriptMapId,
        kind: Aggregate,
        span: Span,
    ) -> Option<()> {
        let old = self.maps.maps[id].value.clone();
        let joined = match old {
            None => Some(kind),
            Some(Stored::Aggregate(old)) => join_aggregates(old, kind),
            Some(Stored::Plain(_)) => None,
        };
        if let Some(joined) = joined {
            self.decide_value(id, Stored::Aggregate(joined), span);
            return Some(());
        }
        let map = &self.maps.maps[id];
        let (name, first) = (map.name.clone(), map.decided);
        let old = match &map.value {
            Some(Stored::Aggregate(old)) => name_of(*old),
            Some(Stored::Plain(value)) => {
                let ty = value.ty;
                self.describe(ty)
            }
            None => String::new(),
        };
        let message = format!("`@{name}` is {old} and cannot be {} as well", name_of(kind));
        let diag = Diagnostic::error(codes::MAP_SHAPE, span, message);
        let diag = self.keeps(id, diag.also(first, format!("{old} since here")));
        self.report(diag.help("use another map"));
        None
    }
}

/// The same aggregation of signed and unsigned numbers is one of signed numbers.
fn join_aggregates(a: Aggregate, b: Aggregate) -> Option<Aggregate> {
    use Aggregate as A;
    Some(match (a, b) {
        (A::Sum { signed: x }, A::Sum { signed: y }) => A::Sum { signed: x || y },
        (A::Avg { signed: x }, A::Avg { signed: y }) => A::Avg { signed: x || y },
        (A::Min { signed: x }, A::Min { signed: y }) => A::Min { signed: x || y },
        (A::Max { signed: x }, A::Max { signed: y }) => A::Max { signed: x || y },
        (A::Stats { signed: x }, A::Stats { signed: y }) => A::Stats { signed: x || y },
        (a, b) if a == b => a,
        _ => return None,
    })
}

/// As a script writes it.
pub(super) fn name_of(kind: Aggregate) -> String {
    match kind {
        Aggregate::Count => "count()".to_string(),
        Aggregate::Sum { .. } => "sum()".to_string(),
        Aggregate::Avg { .. } => "avg()".to_string(),
        Aggregate::Min { .. } => "min()".to_string(),
        Aggregate::Max { .. } => "max()".to_string(),
        Aggregate::Stats { .. } => "stats()".to_string(),
        Aggregate::Hist { bits: 0 } => "hist()".to_string(),
        Aggregate::Hist { bits } => format!("hist(…, {bits})"),
        Aggregate::Lhist { min, max, step } => format!("lhist(…, {min}, {max}, {step})"),
    }
}
