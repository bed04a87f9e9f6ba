//! Variables: scopes, declarations, and their growing types.
//!
//! A variable belongs to the block of its first assignment or declaration. Its number is the order of these in the body, which is the
//! same in every pass.

use nettrace_grammar::{Diagnostic, Span, codes};

use super::infer::Inferred;
use super::state::VarState;
use super::{Checker, var_id};
use crate::index::Id;
use crate::kernel::similar;
use crate::macros::written_name;
use crate::typed::{Expr, ExprKind, VarId};
use crate::types::{Ty, Types};

impl Checker<'_> {
    pub(super) fn in_scope<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        self.scopes.push(Default::default());
        let result = f(self);
        self.scopes.pop();
        result
    }

    pub(super) fn find_var(&self, name: &str) -> Option<VarId> {
        self.scopes.iter().rev().find_map(|s| s.get(name).copied())
    }

    /// A new variable of the innermost block.
    pub(super) fn declare(&mut self, name: &str, span: Span) -> VarId {
        let id = var_id(self.declared);
        self.declared += 1;
        if self.vars.get(id).is_none() {
            self.vars.push(VarState {
                name: written_name(name).to_string(),
                span,
                ty: None,
                pinned: false,
                assigned: false,
                poisoned: false,
                order: Default::default(),
            });
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_string(), id);
        }
        id
    }

    fn var(&self, id: VarId) -> Option<&VarState> {
        self.vars.get(id)
    }

    /// A variable's value.
    pub(super) fn read_var(&mut self, name: &str, span: Span) -> Option<Expr> {
        let Some(id) = self.find_var(name) else {
            self.unknown_var(name, span);
            return None;
        };
        self.read_order(id, span);
        let var = self.var(id)?;
        let poisoned = var.poisoned;
        match var.ty.as_ref().map(|t| t.ty) {
            Some(ty) => Some(Expr {
                kind: ExprKind::Var(id),
                ty,
                span,
            }),
            None => {
                if !poisoned {
                    let declared = self.vars[id].span;
                    let name = written_name(name);
                    let message = format!("`${name}` is used and never assigned");
                    self.report(
                        Diagnostic::error(codes::UNKNOWN_VARIABLE, span, message)
                            .also(declared, "declared here"),
                    );
                }
                None
            }
        }
    }

    pub(super) fn unknown_var(&mut self, name: &str, span: Span) {
        let mut diag = Diagnostic::error(
            codes::UNKNOWN_VARIABLE,
            span,
            format!(
                "the variable `${}` has not been assigned",
                written_name(name)
            ),
        );
        if !self.last_pass {
            return;
        }
        if written_name(name) != name {
            let note =
                "a macro has variables of its own; those of its user are parameters: `macro f($v)`";
            return self.report(diag.note(note));
        }
        // Of the blocks before this one, too: a variable ends with its block.
        let elsewhere = (0..self.declared)
            .map(var_id)
            .filter_map(|id| self.vars.get(id))
            .find(|v| v.name == name);
        if let Some(elsewhere) = elsewhere {
            let at = elsewhere.span;
            diag = diag
                .also(at, "assigned here, in a block that has ended")
                .help(format!("declare it before the block: `let ${name};`"));
        } else {
            let mut names: Vec<&str> = self
                .scopes
                .iter()
                .flat_map(|s| s.keys().map(String::as_str))
                .collect();
            names.sort_unstable();
            let near: Vec<String> = similar::nearest(name, names)
                .iter()
                .map(|n| format!("${n}"))
                .collect();
            diag = self.suggest(diag, &near);
        }
        self.report(diag);
    }

    /// Stores a value: the variable's type grows, or the value is converted to it.
    pub(super) fn store_var(&mut self, id: VarId, value: Option<Expr>, span: Span) -> Option<Expr> {
        if self.vars.get(id).is_some() {
            self.vars[id].assigned = true;
        }
        let Some(value) = value else {
            // Reported, or not known yet; in the last pass silence about the variable is all that is left.
            if let Some(var) = self.vars.get(id)
                && var.ty.is_none()
                && self.last_pass
            {
                self.vars[id].poisoned = true;
            }
            return None;
        };
        let value = self.local_value(value)?;
        self.assign_order(id, value.span);
        let new = self.inferred(&value);
        let var = self.vars.get(id)?.clone();
        if var.pinned {
            let ty = var.ty.as_ref()?.ty;
            return self.fit(value, ty, &format!("${}", var.name), var.span);
        }
        let joined = match &var.ty {
            None => Some(new.clone()),
            Some(old) => self.join(old, &new),
        };
        let Some(joined) = joined else {
            let old = var.ty.as_ref().map_or(Types::POISON, |t| t.ty);
            self.other_type(&format!("${}", var.name), value.ty, old, span, var.span);
            return None;
        };
        let ty = joined.ty;
        if var.ty.as_ref() != Some(&joined) {
            self.grew = true;
            self.vars[id].ty = Some(joined);
        }
        Some(self.convert(value, ty))
    }

    /// Fixes the type of a declared variable.
    pub(super) fn pin(&mut self, id: VarId, ty: Ty) {
        if self.vars.get(id).is_some() && self.vars[id].ty.is_none() {
            self.vars[id].ty = Some(Inferred::fixed(ty));
            self.vars[id].pinned = true;
            self.grew = true;
        }
    }

    /// Reports a value whose type does not go with what is stored already.
    pub(super) fn other_type(&mut self, what: &str, new: Ty, old: Ty, span: Span, first: Span) {
        let (new, old) = (self.describe(new), self.describe(old));
        let message = format!("`{what}` holds {old} and cannot be assigned {new}");
        self.report(
            Diagnostic::error(codes::TYPE_MISMATCH, span, message)
                .label(format!("this is {new}"))
                .also(first, format!("`{what}` is {old} since here"))
                .help("use another name, or cast the value"),
        );
    }

    /// Warns about variables that no assignment ever reached.
    pub(super) fn warn_unassigned(&mut self) {
        let never: Vec<(String, Span)> = (0..self.declared)
            .map(VarId::new)
            .filter_map(|id| self.vars.get(id))
            .filter(|v| !v.assigned)
            .map(|v| (v.name.clone(), v.span))
            .collect();
        for (name, span) in never {
            let message = format!("the variable `${name}` is never assigned");
            self.warn(Diagnostic::warning(codes::NEVER_ASSIGNED, span, message));
        }
    }
}
