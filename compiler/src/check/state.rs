//! What is known of variables and maps while their types still grow.
//!
//! Passes over the script widen these types until nothing changes; the last pass only reads them.

use std::collections::HashMap;
use std::rc::Rc;

use nettrace_grammar::Span;

use super::infer::Inferred;
use super::network_order::Order;
use crate::index::IndexVec;
use crate::session::{KnownMap, Session};
use crate::typed::{Aggregate, Declared, MapValue, ScriptMapId};

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
    /// It lives on from an earlier entry of a session: its types do not grow.
    pub(crate) known: bool,
}

impl MapState {
    fn of_known(map: &KnownMap) -> MapState {
        let value = match map.value {
            MapValue::Plain(ty) => Stored::Plain(Inferred::fixed(ty)),
            MapValue::Aggregate(kind) => Stored::Aggregate(kind),
        };
        MapState {
            name: map.name.clone(),
            span: map.defined,
            shape: match map.key {
                Some(_) => Shape::Keyed(map.defined),
                None => Shape::Scalar(map.defined),
            },
            key: map.key.map(Inferred::fixed),
            value: Some(value),
            assigned: true,
            decided: map.defined,
            declared: map.declared.map(|declared| (declared, map.defined)),
            known: true,
        }
    }
}

/// All maps, in order of first use.
#[derive(Debug, Default)]
pub(crate) struct MapTable {
    pub(crate) maps: IndexVec<ScriptMapId, MapState>,
    names: HashMap<String, ScriptMapId>,
    session: Option<Rc<Session>>,
}

impl MapTable {
    /// Without maps; those of the session come in when they are named.
    pub(crate) fn new(session: Option<Rc<Session>>) -> MapTable {
        MapTable {
            session,
            ..MapTable::default()
        }
    }

    /// Whether later entries may use the maps.
    pub(crate) fn lives_on(&self) -> bool {
        self.session.is_some()
    }

    /// The map of this name, new if need be.
    pub(crate) fn id(&mut self, name: &str, span: Span) -> ScriptMapId {
        if let Some(&id) = self.names.get(name) {
            return id;
        }
        let known = self.session.as_ref().and_then(|session| session.find(name));
        let new = || MapState {
            name: name.to_string(),
            span,
            shape: Shape::Unknown,
            key: None,
            value: None,
            assigned: false,
            decided: span,
            declared: None,
            known: false,
        };
        let id = self.maps.push(known.map_or_else(new, MapState::of_known));
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
    /// Whether its numbers are in network byte order.
    pub(crate) order: Order,
}
