//! What is known of variables and maps while their types still grow.
//!
//! Passes over the script widen these types until nothing changes; the last pass only reads them.

use std::collections::HashMap;

use nettrace_grammar::Span;

use super::infer::Inferred;
use crate::index::IndexVec;
use crate::typed::{Aggregate, Declared, ScriptMapId};

/// Whether a map has keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Only used as a whole so far.
    Unknown,
    /// `@m`; first used so here.
    Scalar(Span),
    /// `@m[…]`; first used so here.
    Keyed(Span),
}

/// What a map stores so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stored {
    /// Values of a type.
    Plain(Inferred),
    /// An aggregation.
    Aggregate(Aggregate),
}

/// A map of the script.
#[derive(Clone, Debug)]
pub(crate) struct MapState {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) shape: Shape,
    pub(crate) key: Option<Inferred>,
    pub(crate) value: Option<Stored>,
    /// Something is stored in it, of whatever type.
    pub(crate) assigned: bool,
    /// Where the value's type was first decided.
    pub(crate) decided: Span,
    /// `let @m = …(N);`
    pub(crate) declared: Option<(Declared, Span)>,
}

/// All maps, in order of first use.
#[derive(Debug, Default)]
pub(crate) struct MapTable {
    pub(crate) maps: IndexVec<ScriptMapId, MapState>,
    names: HashMap<String, ScriptMapId>,
}

impl MapTable {
    /// The map of this name, new if need be.
    pub(crate) fn id(&mut self, name: &str, span: Span) -> ScriptMapId {
        if let Some(&id) = self.names.get(name) {
            return id;
        }
        let id = self.maps.push(MapState {
            name: name.to_string(),
            span,
            shape: Shape::Unknown,
            key: None,
            value: None,
            assigned: false,
            decided: span,
            declared: None,
        });
        self.names.insert(name.to_string(), id);
        id
    }
}

/// A variable of one body.
#[derive(Clone, Debug)]
pub(crate) struct VarState {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) ty: Option<Inferred>,
    /// `let $v: T`: the type does not grow.
    pub(crate) pinned: bool,
    pub(crate) assigned: bool,
    /// An assignment failed: silence about the variable's type.
    pub(crate) poisoned: bool,
}
